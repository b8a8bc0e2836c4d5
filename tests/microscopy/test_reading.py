import pytest
import torch

from vitlab.microscopy.reading import reading, reading_in_words
from vitlab.models.pool import AttentionPool, ClsMeanPool, ClsPool, MeanPool, SequencePool


@pytest.mark.parametrize(
    ("pool", "cls", "patches", "words"),
    [
        (ClsPool, 1, 0, "CLS"),
        (MeanPool, 0, 1, "the patches"),
        (ClsMeanPool, 0.5, 0.5, "CLS (50%) and the patches (50%)"),
        (SequencePool, 0, 1, "the patches"),
        (AttentionPool, 0, 1, "the patches"),
    ],
)
@pytest.mark.parametrize("pool_before_norm", [False, True])
def test_the_head_reads_what_the_pool_takes(vit, pool, cls, patches, words, pool_before_norm):
    model = vit(pool=pool, pool_before_norm=pool_before_norm)
    tokens = torch.randn(2, 19, 24)
    read = reading(model, tokens)
    assert read.sum(dim=1).tolist() == pytest.approx([1, 1])
    assert read[:, 0].tolist() == pytest.approx([cls, cls])
    assert read[:, 1:3].sum() == 0  # registers
    assert read[:, 3:].sum(dim=1).tolist() == pytest.approx([patches, patches])
    if pool in (MeanPool, ClsMeanPool):
        assert torch.allclose(read[:, 3:], torch.tensor(patches / 16))
    assert reading_in_words(read, model.layout) == words


def test_a_distillation_token_has_half_of_the_say(vit):
    model = vit(distillation_token=True)
    read = reading(model, torch.randn(2, 20, 24))
    assert read[:, :2].tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert reading_in_words(read, model.layout) == "CLS (50%) and distillation token (50%)"

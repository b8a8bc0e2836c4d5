import pytest
import torch

from vitlab.analysis.fused import Difference, compare_paths
from vitlab.models.attention.full import Attention


@pytest.mark.parametrize("attention", ["full", "window", "linear", "lsa", "local", "sparse", "multi_query"])
def test_both_paths_of_every_attention_agree_up_to_rounding(vit, attention):
    model = vit(f"model/attention={attention}")
    torch.nn.init.normal_(model.blocks[0].attn.qkv.weight)  # scores far from zero
    found = compare_paths(model, torch.randn(2, 3, 16, 16))
    assert found.attention.relative < 1e-5
    assert found.logits.relative < 1e-4
    assert found.weights_shape == (4, 17, 17)
    assert found.weights_bytes == 4 * 17 * 17 * 4
    assert found.images == 2


class Wrong(Attention):
    def forward_with_weights(self, tokens, mask=None):
        out, weights = super().forward_with_weights(tokens, mask)
        return 2 * out, weights


def test_paths_that_differ_are_found(make_vit):
    model = make_vit(attention=Wrong)
    torch.nn.init.normal_(model.blocks[0].attn.proj.bias)  # so that the attention counts in the logits
    found = compare_paths(model, torch.randn(2, 3, 8, 8))
    assert found.attention.relative == pytest.approx(1)
    assert found.logits.greatest > 0
    assert str(found.attention).startswith("NOT the same")


def test_the_eager_path_is_taken_in_every_block_and_given_back(make_vit):
    calls = []

    class Counted(Attention):
        def forward_with_weights(self, tokens, mask=None):
            calls.append(self)
            return super().forward_with_weights(tokens, mask)

    model = make_vit(attention=Counted, depth=3).train()
    compare_paths(model, torch.randn(1, 3, 8, 8))
    assert set(calls) == {block.attn for block in model.blocks}
    assert len(calls) == 4  # the first one by itself, too
    assert model.training
    assert all("forward" not in vars(block.attn) for block in model.blocks)


def test_an_attention_with_one_path_is_compared_with_nothing(make_vit):
    class One(torch.nn.Module):
        def __init__(self, embed_dim, **sizes):
            super().__init__()

        def forward(self, tokens, mask=None):
            return tokens

    assert compare_paths(make_vit(attention=One), torch.randn(1, 3, 8, 8)) is None


def test_the_verdict_is_in_words():
    assert str(Difference(0.0, 0.0)) == "the same to the last bit"
    assert str(Difference(3.6e-7, 1e-6)).startswith("the same up to rounding (3.6e-07 at most")
    assert str(Difference(0.1, 0.1)).startswith("NOT the same")
    assert str(Difference(float("nan"), float("nan"))).startswith("NOT the same")

import numpy as np
import pytest
import torch
from torch import nn

from vitlab.microscopy.ablation import _drop, ablate, without_block, without_head, without_positions
from vitlab.models.attention.full import Attention
from vitlab.models.attention.linear import LinearAttention
from vitlab.models.attention.lsa import LocalitySelfAttention
from vitlab.models.attention.patterns import LocalAttention
from vitlab.models.attention.window import WindowAttention
from vitlab.models.block import ParallelBlock, PostNormBlock, PreNormBlock
from vitlab.models.position.absolute import LearnedPosition, NoPosition
from vitlab.models.position.relative_bias import RelativeBiasPosition
from vitlab.models.position.rotary import RotaryPosition

IMAGES = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(5))
ATTENTIONS = [Attention, LinearAttention, LocalitySelfAttention, LocalAttention, WindowAttention]


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("options", [{}, {"gated": True, "num_kv_heads": 1}], ids=["plain", "gated, shared keys"])
def test_a_masked_head_is_one_whose_columns_of_the_projection_are_zero(vit, attention, options):
    model = vit(attention=lambda **sizes: attention(**sizes, **options))
    whole = model(IMAGES)
    with without_head(model.blocks[1].attn, 2):
        masked, stages = model(IMAGES), model.forward_stages(IMAGES)
    assert torch.equal(model(IMAGES), whole)  # whole again
    model.blocks[1].attn.proj.weight[:, 16:] = 0
    assert torch.allclose(masked, model(IMAGES), atol=1e-5)
    assert torch.allclose(stages["logits"], masked, atol=1e-4)
    assert (masked - whole).abs().max() > 1e-3


@pytest.mark.parametrize("block", [PreNormBlock, PostNormBlock, ParallelBlock])
def test_a_skipped_block_is_one_that_is_not_there(vit, block):
    model = vit(depth=3, block=block)
    with without_block(model.blocks[1]):
        skipped = model(IMAGES)
    model.blocks = nn.ModuleList([model.blocks[0], model.blocks[2]])
    assert torch.equal(skipped, model(IMAGES))


@pytest.mark.parametrize("position", [LearnedPosition, RotaryPosition, RelativeBiasPosition, NoPosition])
def test_without_positions_a_model_is_that_of_no_positions(vit, position):
    model, bare = vit(position=position, num_heads=2), vit(position=NoPosition, num_heads=2)
    whole = model(IMAGES)
    with without_positions(model):
        without = model(IMAGES)
    assert torch.equal(model(IMAGES), whole)
    bare.load_state_dict(model.state_dict(), strict=False)
    assert torch.allclose(without, bare(IMAGES), atol=1e-5)
    assert torch.equal(without, whole) == (position is NoPosition)


def test_hooks_are_gone_after_an_error_too(vit):
    model = vit()
    whole = model(IMAGES)
    with pytest.raises(KeyboardInterrupt), without_head(model.blocks[0].attn, 0), without_positions(model):
        raise KeyboardInterrupt
    assert torch.equal(model(IMAGES), whole)


def test_every_head_and_block_is_taken_out_once_and_compared_with_the_whole(vit):
    model = vit()
    labels = model(IMAGES).argmax(dim=1)
    rows = ablate(model, lambda: model(IMAGES).argmax(dim=1) == labels, has_positions=True)
    parts = [(row.part, row.block, row.head) for row in rows]
    heads = [[("head", block, head) for head in (1, 2, 3)] + [("block", block, None)] for block in (1, 2)]
    assert parts == [*heads[0], *heads[1], ("positions", None, None)]
    for row in rows:
        assert row.accuracy + row.drop == 1
        assert row.drop_95[0] < row.drop_95[1]
    assert any(row.drop > 0 for row in rows)
    assert len(ablate(model, lambda: model(IMAGES).argmax(dim=1) == labels, has_positions=False)) == 8


def test_the_interval_of_a_drop_holds_the_truth_19_times_in_20():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(1000):  # 8 % of the images are lost by the part, 3 % won
        kind = torch.from_numpy(rng.choice(3, size=200, p=[0.08, 0.03, 0.89]))
        _, (low, high) = _drop(kind != 1, kind != 0)
        held += low <= 0.05 <= high
    assert 0.93 <= held / 1000 <= 0.98


def test_no_difference_among_few_images_is_no_proof_of_none():
    drop, (low, high) = _drop(torch.ones(20, dtype=torch.bool), torch.ones(20, dtype=torch.bool))
    assert drop == 0
    assert -0.15 < low < 0 < high < 0.15

import math
from functools import partial

import pytest
import torch

from vitlab.analysis.coordinate_check import STAGES, activation_changes, growth
from vitlab.models.attention.linear import LinearAttention
from vitlab.models.attention.lsa import LocalitySelfAttention
from vitlab.models.block import PostNormBlock
from vitlab.models.init import trunc_normal
from vitlab.models.mup import mup
from vitlab.models.patch_embed.conv_stem import ConvStem, ConvTokenizer
from vitlab.models.position.relative_bias import RelativeBiasPosition

BASE = {"embed_dim": 64, "depth": 4, "num_heads": 4}


def test_at_the_base_sizes_nothing_changes(make_vit):
    torch.manual_seed(0)
    plain = make_vit(**BASE, init=trunc_normal).eval()
    model = make_vit(**BASE, init=mup).eval()
    assert set(model.lr_scale.values()) == set(model.decay_scale.values()) == {1.0}
    model.load_state_dict(plain.state_dict())
    images = torch.randn(2, 3, 8, 8)
    assert torch.allclose(model(images), plain(images), atol=1e-6)


def test_sizes_and_rates_are_those_of_the_table(make_vit):
    model = make_vit(embed_dim=256, depth=8, num_heads=4, num_classes=50, init=mup)  # four times as wide
    hidden = model.blocks[3].mlp.fc1.weight
    assert hidden.std().item() == pytest.approx(0.02 / 2, rel=0.05)
    assert model.head.weight.std().item() == pytest.approx(0.02 / 4, rel=0.05)
    assert model.patch_embed.proj.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert model.position.embedding.std().item() == pytest.approx(0.02, rel=0.05)
    for name, parameter in model.named_parameters():
        scaled = parameter.ndim == 2 and name.startswith(("blocks.", "head."))
        assert model.lr_scale.get(name, 1.0) == (0.25 if scaled else 1.0), name
        assert model.decay_scale.get(name, 1.0) == (4.0 if scaled else 1.0), name
    assert {block.drop_path.branch_scale for block in model.blocks} == {0.5}
    assert {block.attn.scale for block in model.blocks} == {math.sqrt(16) / 64}


def test_tables_and_temperatures_keep_their_own_rules(make_vit):
    model = make_vit(embed_dim=128, num_heads=4, init=mup, position=RelativeBiasPosition)
    assert "blocks.0.attn.relation.table" not in model.lr_scale
    lsa = make_vit(embed_dim=128, num_heads=4, init=mup, attention=LocalitySelfAttention).blocks[0].attn
    assert lsa.temperature.item() == pytest.approx(32 / math.sqrt(16))


def changes(make_vit, init, sizes, key, **settings):
    generator = torch.Generator().manual_seed(9)
    images = torch.randn(16, 3, 8, 8, generator=generator)
    labels = torch.randint(5, (16,), generator=generator)

    def make(size):
        torch.manual_seed(1)
        return make_vit(**{**BASE, **settings, key: size, "init": init})

    return [activation_changes(partial(make, size), images, labels, lr=2e-3) for size in sizes]


@pytest.mark.slow
@pytest.mark.parametrize(("key", "sizes"), [("embed_dim", [32, 64, 128, 256]), ("depth", [2, 4, 8, 16])])
def test_the_coordinate_check_is_flat(make_vit, key, sizes):
    moved = changes(make_vit, mup, sizes, key)
    for stage in STAGES:
        assert abs(growth(sizes, [change[stage] for change in moved])) < 0.3, stage
    plain = changes(make_vit, trunc_normal, sizes, key)
    assert growth(sizes, [change["blocks"] for change in plain]) > 0.7


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"patch_embed": ConvStem}, "no rule for ConvStem; try patch_embed=conv"),
        ({"patch_embed": ConvTokenizer}, "no rule for ConvTokenizer; try patch_embed=conv"),
        ({"block": PostNormBlock}, "no rule for PostNormBlock; try block=pre_norm"),
        ({"init": partial(mup, base_width=0)}, "base_width=0 is not positive"),
    ],
)
def test_what_it_has_no_rule_for_is_refused(make_vit, part, message):
    with pytest.raises(ValueError, match=message):
        make_vit(**{"init": mup, **part})


def test_attention_without_scores_has_nothing_to_scale(make_vit):
    images = torch.randn(2, 3, 8, 8)
    assert make_vit(init=mup, attention=LinearAttention)(images).isfinite().all()

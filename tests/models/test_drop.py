import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st

from vitlab.models.drop import DropPath, drop_path_rates


def test_whole_images_are_left_out_and_the_rest_is_scaled():
    torch.manual_seed(0)
    out = DropPath(0.25)(torch.ones(4000, 3, 2))
    values = out.flatten(1)
    assert (values == values[:, :1]).all()
    kept = values[values != 0]
    assert torch.allclose(kept, torch.full_like(kept, 1 / 0.75))
    assert (values[:, 0] == 0).float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert out.mean().item() == pytest.approx(1, abs=0.04)


def test_in_eval_and_at_rate_zero_nothing_happens():
    tokens = torch.randn(3, 2, 2)
    assert DropPath(0.9).eval()(tokens) is tokens
    assert DropPath(0.0)(tokens) is tokens


def test_the_number_format_stays():
    assert DropPath(0.5)(torch.ones(4, 1, 1, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_linear_and_constant_rates_by_hand():
    assert drop_path_rates(0.3, 4, "linear") == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert drop_path_rates(0.3, 4, "constant") == [0.3] * 4


@given(st.floats(0, 0.99), st.integers(2, 64))
def test_linear_rates_rise_evenly_from_zero(rate, depth):
    assert drop_path_rates(rate, depth, "linear") == pytest.approx(torch.linspace(0, rate, depth).tolist(), abs=1e-6)


def test_linear_rates_are_timm_s():
    reference = timm.models.VisionTransformer(img_size=8, patch_size=4, embed_dim=8, num_heads=2, drop_path_rate=0.3)
    theirs = [getattr(block.drop_path1, "drop_prob", 0.0) for block in reference.blocks]
    assert drop_path_rates(0.3, len(theirs), "linear") == pytest.approx(theirs)


def test_a_single_block_has_the_whole_rate():
    assert drop_path_rates(0.3, 1, "linear") == [0.3]


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_a_rate_outside_its_range_is_refused(rate):
    with pytest.raises(ValueError, match="drop_path"):
        DropPath(rate)


def test_an_unknown_schedule_is_refused():
    with pytest.raises(ValueError, match="linear, constant"):
        drop_path_rates(0.1, 2, "quadratic")


def test_it_shows_its_rate():
    assert repr(DropPath(0.1)) == "DropPath(rate=0.100)"

import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st

from vitlab.models.drop import Dropout, DropPath, PatchDrop, drop_path_rates


def ones(tokens):
    return torch.ones_like(tokens)


@given(st.floats(0.001, 0.999), st.lists(st.integers(1, 7), min_size=1, max_size=3), st.integers(0, 2**32 - 1))
def test_dropout_zeroes_numbers_scales_the_rest_and_its_gradient_alike(rate, shape, seed):
    torch.manual_seed(seed)
    numbers = (torch.rand(shape) + 1).requires_grad_()
    out = Dropout(rate)(numbers)
    factor = torch.where(out == 0, 0.0, 1 / (1 - round(rate * 2**16) / 2**16))
    assert torch.allclose(out, numbers * factor)
    assert torch.allclose(torch.autograd.grad(out.sum(), numbers)[0], factor)


@pytest.mark.parametrize("rate", [0.001, 0.1, 0.5, 0.9])
def test_dropout_drops_as_often_as_it_is_told_each_number_by_itself(rate):
    torch.manual_seed(0)
    dropped = (Dropout(rate)(torch.ones(1000, 1003)) == 0).double()
    spread = (rate * (1 - rate)) ** 0.5
    assert dropped.mean().item() == pytest.approx(rate, abs=4 * spread / 1000)
    for shift in range(1, 9):  # neighbours share a draw
        together = (dropped[:, shift:] * dropped[:, :-shift]).mean().item()
        assert together == pytest.approx(rate**2, abs=6 * rate * spread / 1000 + 1e-5)


def test_dropout_keeps_the_number_format_and_does_nothing_in_eval_or_at_rate_zero():
    numbers = torch.ones(3, 5, dtype=torch.bfloat16)
    assert Dropout(0.5)(numbers).dtype == torch.bfloat16
    assert Dropout(0.5).eval()(numbers) is numbers
    assert Dropout(0.0)(numbers) is numbers


def test_a_dropout_of_nearly_all_stays_finite():
    assert Dropout(1 - 1e-9)(torch.ones(1000)).isfinite().all()


PATHS = {"kept images alone": False, "all images": True}


@pytest.mark.parametrize("whole", PATHS.values(), ids=PATHS)
def test_whole_images_are_left_out_and_the_rest_is_scaled(whole):
    out = DropPath(0.25)(torch.zeros(4000, 3, 2), ones, whole)
    values = out.flatten(1)
    assert (values == values[:, :1]).all()
    kept = values[values != 0]
    assert torch.allclose(kept, torch.full_like(kept, 1 / 0.75))
    assert (values[:, 0] == 0).float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert out.mean().item() == pytest.approx(1, abs=0.04)


@given(st.floats(0.01, 0.99), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_both_ways_give_the_same_from_the_same_draw(rate, batch, seed):
    layer, drop, tokens = torch.nn.Linear(4, 4), DropPath(rate), torch.randn(batch, 3, 4)

    def run(whole):
        torch.manual_seed(seed)
        out = drop(tokens, layer, whole)
        return out, torch.autograd.grad(out.square().sum(), layer.weight)[0]

    for a, b in zip(run(True), run(False), strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-4)


def test_the_branch_is_computed_for_the_images_that_keep_it():
    seen = []
    DropPath(0.5)(torch.zeros(100, 1, 1), lambda x: seen.append(len(x)) or x)
    assert 30 < seen[0] < 70


def test_a_batch_whose_images_all_leave_the_branch_out_still_has_gradients():
    layer = torch.nn.Linear(2, 2)
    DropPath(0.999999)(torch.ones(2, 1, 2), layer).sum().backward()
    assert torch.equal(layer.weight.grad, torch.zeros(2, 2))


def test_in_eval_and_at_rate_zero_the_branch_is_simply_added():
    tokens = torch.randn(3, 2, 2)
    assert torch.equal(DropPath(0.9).eval()(tokens, ones), tokens + 1)
    assert torch.equal(DropPath(0.0)(tokens, ones), tokens + 1)


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_a_branch_can_be_weighed(rate):
    drop = DropPath(rate)
    drop.branch_scale = 0.25
    values = drop(torch.zeros(50, 1, 1), ones).unique().tolist()
    assert values == ([0.25] if rate == 0 else [0.0, 0.5])


@pytest.mark.parametrize("whole", PATHS.values(), ids=PATHS)
def test_the_number_format_of_the_tokens_stays(whole):
    tokens = torch.ones(4, 1, 1)
    assert DropPath(0.5)(tokens, lambda x: x.bfloat16(), whole).dtype == torch.float32
    assert DropPath(0.5)(tokens.bfloat16(), ones, whole).dtype == torch.bfloat16


def test_patches_are_left_out_by_themselves_in_each_image_and_the_prefix_stays():
    tokens = torch.arange(2 * 10 * 1.0).view(2, 10, 1)
    out = PatchDrop(0.5, num_prefix=2)(tokens)
    assert out.shape == (2, 6, 1)
    assert torch.equal(out[:, :2], tokens[:, :2])
    for image in range(2):
        assert set(out[image, 2:, 0].tolist()) < set(tokens[image, 2:, 0].tolist())
        assert len(set(out[image, 2:, 0].tolist())) == 4
    many = PatchDrop(0.5, 0)(torch.arange(8).view(1, 8, 1).expand(4000, -1, -1))
    assert many.flatten().bincount().div(4000).tolist() == pytest.approx([0.5] * 8, abs=0.05)


def test_one_patch_always_stays_and_in_eval_all_do():
    tokens = torch.randn(2, 5, 3)
    assert PatchDrop(0.99, 1)(tokens).shape == (2, 2, 3)
    assert PatchDrop(0.5, 1).eval()(tokens) is tokens
    assert PatchDrop(0.0, 1)(tokens) is tokens


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

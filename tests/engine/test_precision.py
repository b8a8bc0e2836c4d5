import pytest
import torch
from torch import nn

from vitlab.engine.precision import Precision

CPU = torch.device("cpu")


def gradients(name, clip_norm=None):
    """Norm that ``step`` returns, and the change of the weights under SGD with rate 1."""
    torch.manual_seed(0)
    model = nn.Linear(4, 4, bias=False)
    before = model.weight.detach().clone()
    precision = Precision(name, CPU)
    with precision.autocast():
        loss = (
            model(torch.ones(2, 4)).float().square().mean() / 4
        )  # small enough for the scale that a scaler begins with
    precision.backward(loss)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    norm = precision.clip(optimizer, model.parameters(), clip_norm)
    precision.step(optimizer)
    return norm.item(), before - model.weight.detach()


def test_the_norm_is_that_of_the_whole_gradient_before_clipping():
    norm, change = gradients("fp32")
    assert norm == pytest.approx(change.norm().item(), rel=1e-5)
    clipped_norm, clipped = gradients("fp32", clip_norm=0.01)
    assert clipped_norm == norm
    assert clipped.norm().item() == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("name", ["bf16", "fp16"])
def test_half_precision_is_near_full_precision_and_not_equal(name):
    full, half = gradients("fp32")[1], gradients(name)[1]
    assert torch.allclose(full, half, rtol=0.05, atol=1e-3)
    assert not torch.equal(full, half)


def test_the_scaler_drops_a_step_whose_gradient_overflows():
    model = nn.Linear(1, 1, bias=False)
    precision = Precision("fp16", CPU)
    before, scale = model.weight.detach().clone(), precision.scaler.get_scale()
    precision.backward(model(torch.full((1, 1), float("inf"))).sum())
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    norm = precision.clip(optimizer, model.parameters(), None)
    precision.step(optimizer)
    assert not norm.isfinite()
    assert torch.equal(model.weight, before)
    assert precision.scaler.get_scale() < scale


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="fp32, bf16, fp16"):
        Precision("fp8", CPU)

import pytest
import torch
from torch import nn

from vitlab.engine.diagnosis import reason
from vitlab.engine.precision import Precision

PRECISION = Precision("fp32", torch.device("cpu"))
NUMBERS = [70, 71, 72]


class Exploding(nn.Module):
    def forward(self, x):
        return torch.where(x > 5, x * torch.inf, x)


def images(*largest):
    return torch.stack([torch.full((1, 2, 2), float(value)) for value in largest])


def model():
    torch.manual_seed(0)
    net = nn.Sequential()
    net.add_module("flatten", nn.Flatten())
    net.add_module("attention", Exploding())
    net.add_module("dropout", nn.Dropout(0.5))
    net.add_module("head", nn.Linear(4, 2))
    return net


def test_an_image_that_is_not_finite_is_named():
    assert reason(model(), images(1, float("nan"), 1), NUMBERS, PRECISION) == (
        "image 71 of train is not finite after augmentation"
    )
    found = reason(model(), images(*[float("inf")] * 6), list(range(6)), PRECISION)
    assert found == "images 0, 1, 2, 3 and 2 more of train are not finite after augmentation"


def test_the_part_that_fails_first_is_named_with_its_image():
    found = reason(model(), images(1, 1, 9), NUMBERS, PRECISION)
    assert found == (
        "attention made numbers that are not finite out of such up to 9; image 72 of train is concerned "
        "(model.attention.qk_norm=true keeps attention small)"
    )


def test_what_another_look_does_not_find_is_said():
    assert "the forward pass is finite in eval mode" in reason(model(), images(1, 1, 1), NUMBERS, PRECISION)


@pytest.mark.parametrize("training", [True, False])
def test_the_model_and_the_generators_are_left_as_they_were(training):
    net = model().train(training)
    state = torch.get_rng_state()
    reason(net, images(1, 1, 9), NUMBERS, PRECISION)
    assert torch.equal(state, torch.get_rng_state())
    assert net.training == training
    assert not any(module._forward_hooks for module in net.modules())

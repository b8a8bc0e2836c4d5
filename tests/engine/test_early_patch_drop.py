import pytest
import torch
from torch import nn

from vitlab.engine.early_patch_drop import EarlyPatchDrop
from vitlab.models.drop import PatchDrop


class Patches(nn.Module):
    """Counts the tokens that come out of its patch drop."""

    def __init__(self, rate):
        super().__init__()
        self.patch_drop = PatchDrop(rate, num_prefix=1)

    def forward(self):
        return self.patch_drop(torch.zeros(2, 1 + 16, 4)).shape[1]


def test_patches_are_left_out_until_then_and_none_from_then_on():
    model = Patches(0.75)
    early = EarlyPatchDrop(model, until=3)
    seen = []
    for step in range(6):
        early.at(step)
        seen.append(model())
    assert seen == [5, 5, 5, 17, 17, 17]


def test_a_run_that_goes_on_finds_the_rate_of_its_step_whatever_was_set_before():
    model = Patches(0.5)
    early = EarlyPatchDrop(model, until=3)
    early.at(4)
    early.at(1)
    assert model() == 9


@pytest.mark.parametrize("model", [Patches(0.0), nn.Linear(2, 2)])
def test_a_model_that_leaves_nothing_out_is_refused(model):
    with pytest.raises(ValueError, match=r"patch_drop_until needs patches that are left out; try model.patch_drop=0.5"):
        EarlyPatchDrop(model, until=3)

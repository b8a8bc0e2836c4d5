import pytest
import torch

from vitlab.analysis.coordinate_check import STAGES, activation_changes, growth


def test_growth_is_the_exponent_of_a_power_law():
    sizes = [2, 4, 8, 16]
    assert growth(sizes, [3 * size**0.5 for size in sizes]) == pytest.approx(0.5)
    assert growth(sizes, [7.0] * 4) == pytest.approx(0)


def test_without_a_learning_rate_nothing_moves_and_with_one_all_does(make_vit):
    images, labels = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 3])
    still, moved = (activation_changes(make_vit, images, labels, lr=lr) for lr in (0.0, 1e-3))
    assert still.keys() == moved.keys() == set(STAGES)
    assert set(still.values()) == {0.0}
    assert all(change > 0 for change in moved.values())


def test_the_model_s_own_scales_are_applied(make_vit):
    images, labels = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 3])

    def frozen():
        torch.manual_seed(0)
        model = make_vit()
        model.lr_scale = {name: 0.0 for name, _ in model.named_parameters()}
        return model

    assert set(activation_changes(frozen, images, labels, lr=1e-3).values()) == {0.0}

import pytest
import torch

from vitlab.engine.window import Figures, Window


def window(finite_gradients=True):
    return Window(torch.device("cpu"), finite_gradients)


def tensors(*values):
    return [torch.tensor(float(v)) for v in values]


def test_the_loss_counts_each_image_once():
    w = window()
    w.add(1, 30, *tensors(1, 4))
    w.add(2, 10, *tensors(3, 8))
    assert w.read() == Figures(loss=pytest.approx(1.5), grad_norm=pytest.approx(6.0), bad_step=None)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("where", ["loss", "grad_norm"])
def test_the_first_step_that_is_not_finite_is_remembered(bad, where):
    w = window()
    w.add(1, 1, *tensors(1, 1))
    for step in (2, 3):
        w.add(step, 1, *tensors(bad if where == "loss" else 1, bad if where == "grad_norm" else 1))
    w.add(4, 1, *tensors(1, 1))
    assert w.read().bad_step == 2


def test_with_a_loss_scaler_an_infinite_gradient_is_no_error():
    w = window(finite_gradients=False)
    w.add(1, 1, *tensors(1, float("inf")))
    assert w.read().bad_step is None


def test_it_goes_on_from_its_state_to_the_bit():
    whole, first, second = window(), window(), window()
    steps = [(s, 3, torch.tensor(1 / s), torch.tensor(0.1 * s)) for s in range(1, 8)]
    for s in steps:
        whole.add(*s)
    for s in steps[:4]:
        first.add(*s)
    second.set_state(first.state())
    for s in steps[4:]:
        second.add(*s)
    assert second.read() == whole.read()


def test_cleared_it_begins_anew():
    w = window()
    w.add(1, 1, *tensors(float("nan"), 1))
    w.clear()
    assert w.read() == Figures(0.0, 0.0, None)

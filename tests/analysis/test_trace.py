import torch
from torch import nn

from vitlab.analysis.trace import FUSED, Event, trace


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(3, 4), nn.GELU())

    def forward(self, x):
        return self.inner(x) @ torch.ones(4, 2)


def test_what_happens_is_told_in_order_and_to_whom_it_belongs():
    model = Pair()
    events = trace(model, {"inner": model.inner}, torch.zeros(1, 5, 3))
    linear, inner, product = events
    assert (linear.path, linear.function, linear.shape, linear.flops) == ("inner", "linear", (5, 4), 2 * 5 * 3 * 4)
    assert inner == Event("inner", "", (5, 4))
    assert (product.path, product.shape, product.flops) == ("", (5, 2), 2 * 5 * 4 * 2)


def test_a_module_within_another_names_it():
    model = Pair()
    events = trace(model, {"inner": model.inner, "inner.0": model.inner[0]}, torch.zeros(1, 5, 3))
    assert [(e.path, e.within) for e in events if not e.function] == [("inner.0", "inner"), ("inner", "")]


def test_a_fused_attention_tells_the_shape_of_scores_that_it_never_holds():
    class Fused(nn.Module):
        def forward(self, x):
            return nn.functional.scaled_dot_product_attention(x, x[:, :, :3], x[:, :, :3])

    (event,) = trace(Fused(), {}, torch.zeros(1, 2, 5, 8))
    assert (event.function, event.shape, event.scores) == (FUSED, (2, 5, 8), (2, 5, 3))
    assert event.flops == 2 * (2 * 2 * 5 * 3 * 8)


def test_the_hooks_and_the_mode_are_taken_back():
    model = Pair().train()
    trace(model, {"inner": model.inner}, torch.zeros(1, 5, 3))
    assert model.training
    assert not model.inner._forward_hooks
    assert not model.inner._forward_pre_hooks

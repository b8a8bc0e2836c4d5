"""What happens in a forward pass, in order: which module gave what, and which products it took to get there."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from vitlab.analysis.cost import counting

FUSED = "scaled_dot_product_attention"


@dataclass(frozen=True)
class Event:
    """A module that has ended, or a product on the way to its end.

    Args:
        path: name of the module, or of the innermost one that was running when the product was taken.
        function: name of torch's function, or an empty string if a module has ended.
        shape: of the result, without the batch.
        flops: of the product; of a module 0, for its products have their own events.
        scores: shape of the scores, without the batch, if the product is a fused attention.
        within: name of the watched module that was running when the module began.
    """

    path: str
    function: str
    shape: tuple[int, ...]
    flops: int = 0
    scores: tuple[int, ...] = ()
    within: str = ""


def trace(model: nn.Module, watched: Mapping[str, nn.Module], images: Tensor) -> list[Event]:
    """Everything that ``watched`` modules do while ``model`` works on ``images`` in eval mode.

    Args:
        model: maps the images to anything; left in the mode in which it came.
        watched: modules within the model by name. Products of others count to the innermost watched one, or to ``""``.
        images: [B, C, S, S].
    """
    was_training = model.training
    model.eval()
    events: list[Event] = []
    running = [""]
    with (
        torch.no_grad(),
        counting() as counter,
        _watching(watched, running, events),
        _Products(counter, running, events),
    ):
        model(images)
    model.train(was_training)
    return events


class _Products(TorchFunctionMode):
    """Writes down every function of torch that the counter finds to cost something."""

    def __init__(self, counter: FlopCounterMode, running: Sequence[str], events: list[Event]) -> None:
        super().__init__()
        self.counter, self.running, self.events = counter, running, events

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        before = self.counter.get_total_flops()
        out = func(*args, **(kwargs or {}))
        flops = int(self.counter.get_total_flops() - before)
        name = getattr(func, "__name__", "")
        if name == FUSED:
            scores = (*args[0].shape[1:-1], args[1].shape[-2])
            self.events.append(Event(self.running[-1], name, _shape(out), flops, scores))
        elif flops:
            self.events.append(Event(self.running[-1], name, _shape(out), flops))
        return out


@contextmanager
def _watching(watched: Mapping[str, nn.Module], running: list[str], events: list[Event]) -> Iterator[None]:
    def begin(path: str, module: nn.Module, args: Any) -> None:
        running.append(path)

    def end(path: str, module: nn.Module, args: Any, out: Any) -> None:
        running.pop()
        events.append(Event(path, "", _shape(out), within=running[-1]))

    handles = [m.register_forward_pre_hook(partial(begin, path)) for path, m in watched.items()]
    handles += [m.register_forward_hook(partial(end, path)) for path, m in watched.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _shape(out: Any) -> tuple[int, ...]:
    """Shape of a result without its batch; of the last tensor, if it is several."""
    tensors = [part for part in (out if isinstance(out, tuple) else (out,)) if isinstance(part, Tensor)]
    return tuple(tensors[-1].shape[1:]) if tensors else ()

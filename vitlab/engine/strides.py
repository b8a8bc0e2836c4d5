"""How far one step moves the weights, and how large the gradient was, region by region."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from vitlab.engine.distributed import World
from vitlab.engine.regions import blocks, region
from vitlab.engine.shards import is_shard


class Stride:
    """One step of an optimizer, from just before it to just after it. Nothing here waits for the device.

    Args:
        model: its gradients are those that the optimizer will use.
        grad_norm: norm of the whole gradient before it was clipped, a scalar on the device.
        world: the processes, in each of which there is one.
    """

    def __init__(self, model: nn.Module, grad_norm: Tensor, world: World) -> None:
        parts = blocks(model)
        learned = {name: p for name, p in model.named_parameters() if p.grad is not None}
        names = [region(name, parts) for name in learned]
        self.regions = list(dict.fromkeys(names))
        self._of = [self.regions.index(name) for name in names]
        self._parameters, self._world = list(learned.values()), world
        self._in_shards = any(is_shard(parameter) for parameter in self._parameters)
        self._before = [own.clone() for own in _own(self._parameters)]
        clipped = self._norms(_own(p.grad for p in self._parameters if p.grad is not None))
        self._gradients = clipped * (grad_norm / clipped.norm().clamp(min=1e-30))
        self.grad_norm = grad_norm

    @torch.no_grad()
    def end(self) -> None:
        """The step is done."""
        after = _own(self._parameters)
        torch._foreach_sub_(self._before, after)  # in place: no third copy of the weights
        moved, weights = self._norms(self._before), self._norms(after)
        ratios = moved / weights.clamp(min=1e-30)
        whole = moved.norm() / weights.norm().clamp(min=1e-30)
        self._figures = torch.cat([self._gradients, ratios, whole.reshape(1), self.grad_norm.reshape(1)])
        del self._before

    def read(self) -> dict[str, float] | None:
        """``block03/grad_norm``, before clipping, ``block03/update_ratio`` and ``update_ratio`` of the whole.

        A ratio is the norm of what a step changed by that of the weights. Waits for the device.

        Returns:
            None if the gradient was not finite.
        """
        numbers = self._figures.tolist()
        if not math.isfinite(numbers[-1]):
            return None
        names = [f"{name}/grad_norm" for name in self.regions] + [f"{name}/update_ratio" for name in self.regions]
        return dict(zip([*names, "update_ratio"], numbers, strict=False))

    def _norms(self, tensors: list[Tensor]) -> Tensor:
        """Norm over each region and all processes."""
        squares = torch.stack([norm.float() for norm in torch._foreach_norm(tensors)]).square()
        sums = squares.new_zeros(len(self.regions)).index_add(0, torch.tensor(self._of, device=squares.device), squares)
        return (self._world.sum(sums) if self._in_shards else sums).sqrt()


def _own(tensors: Iterable[Tensor]) -> list[Tensor]:
    """What this process has of each."""
    return [t.detach().to_local() if is_shard(t) else t.detach() for t in tensors]  # type: ignore[attr-defined]

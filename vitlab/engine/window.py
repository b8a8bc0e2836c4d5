"""Figures since the last log line, summed on the device so that no step waits for it."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vitlab.engine.distributed import ALONE, World


@dataclass(frozen=True)
class Figures:
    """Means over the steps since the last log line.

    Args:
        loss: mean training loss, each image counted once.
        grad_norm: mean norm of the gradient before clipping.
        bad_step: first step whose loss or gradient was not finite, or None.
    """

    loss: float
    grad_norm: float
    bad_step: int | None


class Window:
    """Running sums over steps; ``read`` is the only call that waits for the device.

    Args:
        device: where losses and norms lie.
        finite_gradients: whether a gradient that is not finite is an error (with a loss scaler it is not).
        world: the processes whose losses are averaged; their gradients are the same.
    """

    def __init__(self, device: torch.device, finite_gradients: bool, world: World = ALONE) -> None:
        self.device, self.world = device, world
        self.finite_gradients = finite_gradients
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self.images = 0
        self.steps = 0
        # Loss times images, sum of norms, and the first bad step (-1: none): one tensor, one transfer.
        self.sums = torch.tensor([0.0, 0.0, -1.0], dtype=torch.float64 if self.device.type == "cpu" else torch.float32)
        self.sums = self.sums.to(self.device)

    def add(self, step: int, images: int, loss: Tensor, grad_norm: Tensor) -> None:
        """Count the step number ``step`` over ``images`` images of all processes with the mean ``loss`` of each."""
        finite = loss.isfinite()
        if self.finite_gradients:
            finite = finite & grad_norm.isfinite()
        first_bad = torch.where((self.sums[2] < 0) & ~finite, step, self.sums[2])
        self.sums = torch.stack([self.sums[0] + loss * images, self.sums[1] + grad_norm, first_bad])
        self.images += images
        self.steps += 1

    def read(self) -> Figures:
        """The means so far, over all processes, which call it together."""
        loss, norm, bad = self.sums.tolist()
        if self.world.size > 1:
            loss = float(self.world.sum(torch.tensor(loss / self.world.size, dtype=torch.float64)))
            self.sums[0] = loss  # from here on the mean of all, which is its own mean
        return Figures(loss / max(1, self.images), norm / max(1, self.steps), int(bad) if bad >= 0 else None)

    def state(self) -> dict[str, Any]:
        """The sums, for a checkpoint in the middle of a window."""
        return {"sums": self.sums.cpu(), "images": self.images, "steps": self.steps}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take up the sums of a checkpoint."""
        self.sums = state["sums"].to(self.sums)
        self.images, self.steps = state["images"], state["steps"]

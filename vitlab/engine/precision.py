"""Number formats: float32, or automatic mixed precision with bfloat16 or float16."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
from torch import Tensor, nn

from vitlab.engine.contracts import Optimizer

_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Precision:
    """How a step computes: autocast, and for float16 a scaler that keeps small gradients from vanishing.

    Micikevicius et al. 2018, "Mixed precision training", section 3.2.

    Args:
        name: ``fp32``, ``bf16`` or ``fp16``.
        device: where the model lies.

    Raises:
        ValueError: ``name`` is none of the three.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        if name not in ("fp32", *_HALF):
            raise ValueError(f"precision={name} is not one of fp32, bf16, fp16")
        self.device = device
        self.dtype = _HALF.get(name)
        self.scaler = torch.amp.GradScaler(device.type, enabled=name == "fp16")

    def autocast(self) -> AbstractContextManager[Any]:
        """The context of a forward pass."""
        if self.dtype is None:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of ``loss``."""
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def clip(self, optimizer: Optimizer, parameters: Iterable[nn.Parameter], clip_norm: float | None) -> Tensor:
        """Unscale the gradients and clip them.

        Returns:
            Norm of the whole gradient before clipping, a scalar on the device.
        """
        self.scaler.unscale_(cast(torch.optim.Optimizer, optimizer))
        return nn.utils.clip_grad_norm_(parameters, clip_norm if clip_norm is not None else float("inf"))

    def step(self, optimizer: Optimizer) -> None:
        """Update the parameters."""
        self.scaler.step(cast(torch.optim.Optimizer, optimizer))
        self.scaler.update()

    def forget(self) -> None:
        """Leave out the update of gradients that were clipped."""
        self.scaler.update()

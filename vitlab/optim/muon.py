"""Muon for the matrices inside the blocks, AdamW for the rest, behind the face of one optimizer."""

import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the polynomial, chosen by Jordan et al. for its slope at zero


def orthogonalise(matrices: Tensor, steps: int) -> Tensor:
    """Nearly the nearest orthogonal matrix of each, by Newton-Schulz iterations: most singular values are about 1.

    Jordan et al. 2024, "Muon: an optimizer for hidden layers". In bfloat16 on a GPU, where that is fast and exact
    enough; a CPU has seldom a fast one, and gets float32.

    Args:
        matrices: [L, M, N], of one shape.
        steps: iterations; 5 in the paper.

    Returns:
        [L, M, N] in that precision.
    """
    x = matrices.bfloat16() if matrices.is_cuda else matrices.float()
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x  # so that the products below are the small ones
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    a, b, c = _COEFFICIENTS
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """SGD with momentum, whose update of a matrix is replaced by its nearest orthogonal matrix.

    Jordan et al. 2024; the update is scaled to the size of AdamW's (Liu et al. 2025, "Muon is scalable for LLM
    training", section 2.2). It computes what ``torch.optim.Muon(adjust_lr_fn="match_rms_adamw")`` computes, and takes
    all matrices of one shape at once: a ViT has four shapes, however deep it is.

    Args:
        params: matrices, or groups of them.
        lr: learning rate.
        weight_decay: decay, in units of the learning rate.
        momentum: of the average of gradients.
        nesterov: whether the step looks ahead.
        ns_steps: Newton-Schulz iterations.

    Raises:
        ValueError: a value lies outside its range, or a parameter is no matrix.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_steps: int = 5,
    ) -> None:
        if min(lr, weight_decay) < 0:
            raise ValueError(f"lr={lr} and weight_decay={weight_decay} must not be negative")
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum={momentum} lies outside 0 <= momentum < 1; try 0.95")
        if ns_steps < 1:
            raise ValueError(f"ns_steps={ns_steps} is not positive; try 5")
        defaults = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov}
        super().__init__(params, {**defaults, "ns_steps": ns_steps})
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.ndim != 2:
                    raise ValueError(f"a parameter of shape {list(parameter.shape)} is no matrix, as Muon takes them")

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all matrices that have a gradient, after ``closure`` has computed it, where one is given."""
        with torch.enable_grad():
            loss = closure() if closure is not None else None
        for group in self.param_groups:
            by_shape = defaultdict(list)
            for matrix in group["params"]:
                if matrix.grad is not None:
                    by_shape[matrix.shape].append(matrix)
            for (rows, columns), matrices in by_shape.items():
                updates = torch.stack([self._average(matrix, matrix.grad, group) for matrix in matrices])  # [L, M, N]
                rate = 0.2 * math.sqrt(max(rows, columns)) * group["lr"]
                for matrix, update in zip(matrices, orthogonalise(updates, group["ns_steps"]), strict=True):
                    matrix.mul_(1 - group["lr"] * group["weight_decay"])
                    matrix.add_(update, alpha=-rate)
        return loss

    def _average(self, matrix: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        """Of this gradient and those before it."""
        state = self.state[matrix]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        average: Tensor = state["momentum_buffer"].lerp_(gradient, 1 - group["momentum"])
        return gradient.lerp(average, group["momentum"]) if group["nesterov"] else average


class MuonAdamW:
    """``Muon`` beside torch's AdamW.

    Muon suits hidden matrices only; the patch embedding, the head, norms and biases go to AdamW. Its update is of the
    size of AdamW's, so that both share ``lr``.

    Args:
        groups: parameter groups, of which the one named ``hidden_matrices`` goes to Muon.
        lr: learning rate of both.
        weight_decay: decay of both, where a group does not set its own.
        momentum: of Muon.
        nesterov: whether Muon looks ahead.
        ns_steps: Newton-Schulz iterations.
        betas: of AdamW.
        eps: of AdamW.
        fused: whether AdamW has one kernel for all its parameters.

    Raises:
        ValueError: no group is named ``hidden_matrices``: there is nothing for Muon to do.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        lr: float,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_steps: int = 5,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        fused: bool = True,
    ) -> None:
        matrices = [g for g in groups if g["name"] == "hidden_matrices"]
        rest = [g for g in groups if g["name"] != "hidden_matrices"]
        if not matrices:
            raise ValueError("the model has no matrices inside its blocks for Muon; try optimizer=adamw")
        self.muon = Muon(matrices, lr, weight_decay, momentum, nesterov, ns_steps)
        self.adamw = torch.optim.AdamW(rest, lr=lr, weight_decay=weight_decay, betas=betas, eps=eps, fused=fused)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of both, live: a rate that is set here is used."""
        return [*self.muon.param_groups, *self.adamw.param_groups]

    @property
    def state(self) -> dict[torch.Tensor, dict[str, Any]]:
        """What both keep of each parameter, live."""
        return {**self.muon.state, **self.adamw.state}

    def step(self) -> None:
        """Update all parameters once."""
        self.muon.step()
        self.adamw.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters."""
        self.muon.zero_grad(set_to_none)
        self.adamw.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """State of both, for a checkpoint."""
        return {"muon": self.muon.state_dict(), "adamw": self.adamw.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the state of both."""
        self.muon.load_state_dict(state["muon"])
        self.adamw.load_state_dict(state["adamw"])

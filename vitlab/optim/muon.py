"""Muon for the matrices inside the blocks, AdamW for the rest, behind the face of one optimizer."""

from collections.abc import Sequence
from typing import Any

import torch


class MuonAdamW:
    """torch's Muon (Jordan et al. 2024, "Muon: an optimizer for hidden layers") beside torch's AdamW.

    Muon replaces the momentum of a matrix by its nearest orthogonal matrix, found by ``ns_steps`` Newton-Schulz
    iterations. It suits hidden matrices only; the patch embedding, the head, norms and biases go to AdamW. The
    update is scaled to the size of AdamW's (Liu et al. 2025, section 2.2), so that both share ``lr``.

    Args:
        groups: parameter groups, of which the one named ``hidden_matrices`` goes to Muon.
        lr: learning rate of both.
        weight_decay: decay of both, where a group does not set its own.
        momentum: of Muon.
        nesterov: whether Muon looks ahead.
        ns_steps: Newton-Schulz iterations.
        betas: of AdamW.
        eps: of AdamW.

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
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        matrices = [g for g in groups if g["name"] == "hidden_matrices"]
        rest = [g for g in groups if g["name"] != "hidden_matrices"]
        if not matrices:
            raise ValueError("the model has no matrices inside its blocks for Muon; try optimizer=adamw")
        self.muon = torch.optim.Muon(
            matrices,
            lr=lr,
            weight_decay=weight_decay,
            momentum=momentum,
            nesterov=nesterov,
            ns_steps=ns_steps,
            adjust_lr_fn="match_rms_adamw",
        )
        self.adamw = torch.optim.AdamW(rest, lr=lr, weight_decay=weight_decay, betas=(betas[0], betas[1]), eps=eps)

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
        self.muon.step()  # type: ignore[no-untyped-call]
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

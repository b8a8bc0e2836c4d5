"""Which parameters are decayed, which are the matrices that Muon takes, and which learn at a rate of their own."""

from typing import Any, Protocol

from torch import nn


class HasGroups(Protocol):
    """What is used of an optimizer here."""

    @property
    def param_groups(self) -> Any:
        """Its groups, live."""


def parameter_groups(model: nn.Module) -> list[dict[str, Any]]:
    """Split the trainable parameters of ``model`` into named groups for a torch optimizer.

    ``hidden_matrices``: the two-dimensional weights inside the blocks.
    ``other_weights``: the other weights, such as the patch embedding and the head.
    ``no_decay``: norms, biases, and what ``model.no_weight_decay()`` names (positions, CLS); no weight decay
    (Dosovitskiy et al. 2021 leave it out as DeiT does).

    A group whose parameters have scales of their own in ``model.lr_scale`` or ``model.decay_scale`` (layer-wise decay,
    maximal update parametrisation) carries them as ``lr_scale`` and ``decay_scale``; ``apply_scales`` puts them to use.

    Returns:
        The groups that are not empty, each with ``name`` and ``params``, ``no_decay`` with ``weight_decay`` 0.
    """
    named_by_model = getattr(model, "no_weight_decay", None)
    undecayed = named_by_model() if callable(named_by_model) else []
    lr_scale, decay_scale = getattr(model, "lr_scale", {}), getattr(model, "decay_scale", {})
    groups: dict[tuple[str, float, float], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if parameter.ndim <= 1 or name in undecayed:
            kind = "no_decay"
        elif parameter.ndim == 2 and name.startswith("blocks."):
            kind = "hidden_matrices"
        else:
            kind = "other_weights"
        scales = lr_scale.get(name, 1.0), decay_scale.get(name, 1.0)
        group = groups.setdefault((kind, *scales), _group(kind, *scales))
        group["params"].append(parameter)
    order = ["hidden_matrices", "other_weights", "no_decay"]
    return sorted(groups.values(), key=lambda group: order.index(group["name"]))


def _group(kind: str, lr_scale: float, decay_scale: float) -> dict[str, Any]:
    group: dict[str, Any] = {"name": kind, "params": []}
    if kind == "no_decay":
        group["weight_decay"] = 0.0
    if (lr_scale, decay_scale) != (1.0, 1.0):
        group |= {"lr_scale": lr_scale, "decay_scale": decay_scale}
    return group


def apply_scales(optimizer: HasGroups) -> None:
    """Multiply the learning rate and the weight decay of each group by its scales. Call it once, on a new optimizer."""
    for group in optimizer.param_groups:
        group["lr"] *= group.get("lr_scale", 1.0)
        group["weight_decay"] *= group.get("decay_scale", 1.0)

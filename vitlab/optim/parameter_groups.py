"""Which parameters are decayed, and which of them are the matrices that Muon takes."""

from typing import Any

from torch import nn


def parameter_groups(model: nn.Module) -> list[dict[str, Any]]:
    """Split the trainable parameters of ``model`` into named groups for a torch optimizer.

    ``hidden_matrices``: the two-dimensional weights inside the blocks.
    ``other_weights``: the other weights, such as the patch embedding and the head.
    ``no_decay``: norms, biases, and what ``model.no_weight_decay()`` names (positions, CLS); no weight decay
    (Dosovitskiy et al. 2021 leave it out as DeiT does).

    Returns:
        The groups that are not empty, each with ``name`` and ``params``, ``no_decay`` with ``weight_decay`` 0.
    """
    named_by_model = getattr(model, "no_weight_decay", None)
    undecayed = named_by_model() if callable(named_by_model) else []
    groups: dict[str, dict[str, Any]] = {
        "hidden_matrices": {"params": []},
        "other_weights": {"params": []},
        "no_decay": {"params": [], "weight_decay": 0.0},
    }
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if parameter.ndim <= 1 or name in undecayed:
            group = "no_decay"
        elif parameter.ndim == 2 and name.startswith("blocks."):
            group = "hidden_matrices"
        else:
            group = "other_weights"
        groups[group]["params"].append(parameter)
    return [{"name": name, **group} for name, group in groups.items() if group["params"]]

"""Fair budgets: the width or the length with which a run costs what it may, so that runs are compared at equal cost."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vitlab.analysis.skeleton import skeleton
from vitlab.config.build import build
from vitlab.config.compose import resolved
from vitlab.duration import RunLength, parse
from vitlab.errors import VitlabError, did_you_mean

_UNITS: dict[str, dict[str, float]] = {
    "params": {"": 1, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9},
    "flops": {"": 1, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12},
    "time": {"s": 1, "min": 60, "h": 3600},
}
_EXAMPLES = "budget=params:3.5M, budget=flops:500M (of an image) or budget=time:10min"
_SETS = {
    "params": ("model.embed_dim",),
    "flops": ("model.embed_dim",),
    "time": ("trainer.epochs", "trainer.max_steps"),
}
_HEAD_DIM = 4  # widths of which every position is legal are multiples of it for each head
_WIDEST = 65_536


@dataclass(frozen=True)
class Budget:
    """``amount`` parameters, FLOPs of one image, or seconds of training, by ``kind``."""

    kind: str
    amount: float
    text: str


def settle_budget(cfg: DictConfig, overrides: Sequence[str]) -> None:
    """Refuse an illegal budget, and give ``cfg`` a width that fits its heads until the budget's own is found.

    Raises:
        VitlabError: as ``parse_budget``.
    """
    if OmegaConf.select(cfg, "budget") is None:
        return
    heads = OmegaConf.select(cfg, "model.num_heads")
    if parse_budget(cfg.budget, overrides).kind != "time" and isinstance(heads, int) and "embed_dim" in cfg.model:
        cfg.model.embed_dim = _HEAD_DIM * max(1, heads)


def parse_budget(text: Any, overrides: Sequence[str] = ()) -> Budget:
    """Read ``params:3.5M``, ``flops:500M`` or ``time:10min``.

    Args:
        text: as it was typed.
        overrides: the command line, which must not set what the budget sets.

    Raises:
        VitlabError: it is none of these, or the command line sets the same.
    """
    kind, _, rest = str(text).partition(":")
    if kind not in _UNITS:
        raise VitlabError(f"budget={text} is of no known kind{did_you_mean(kind, _UNITS)}; write {_EXAMPLES}")
    match = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*([A-Za-z]*)", rest)
    units = {name.lower(): factor for name, factor in _UNITS[kind].items()}
    if match is None or match[2].lower() not in units or float(match[1]) == 0:
        legal = ", ".join(name for name in _UNITS[kind] if name)
        raise VitlabError(f"budget={text} has no amount with one of the units {legal}; write {_EXAMPLES}")
    for key in _SETS[kind]:
        if typed := [o for o in overrides if o.lstrip("+").startswith(f"{key}=")]:
            raise VitlabError(f"budget={text} finds {key} by itself; leave {typed[0]} out")
    return Budget(kind, float(match[1]) * units[match[2].lower()], str(text))


def fit_budget(cfg: DictConfig, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Set the width or the length in ``cfg`` so that the run costs what ``cfg.budget`` says.

    Args:
        cfg: the composed config; changed in place.
        overrides: the command line.

    Returns:
        What was matched, plain values for the summary: the budget, the key that was found, the cost it has. Nothing
        where there is no budget.

    Raises:
        VitlabError: the budget is none, or not even the smallest model or one step fits into it.
    """
    if OmegaConf.select(cfg, "budget") is None:
        return {}
    budget = parse_budget(cfg.budget, overrides)
    if OmegaConf.select(cfg, "data.num_classes") is None:
        cfg.data.num_classes = build(resolved(cfg), "data", cfg.allow_targets).spec.num_classes
    return _fit_length(cfg, budget) if budget.kind == "time" else _fit_width(cfg, budget)


def _fit_width(cfg: DictConfig, budget: Budget) -> dict[str, Any]:
    """The legal width whose cost is nearest: cost grows with the width, so it is found between two multiples."""
    if OmegaConf.select(cfg, "model.embed_dim") is None or OmegaConf.select(cfg, "model.num_heads") is None:
        raise VitlabError(f"budget={budget.text} needs a model with embed_dim and num_heads to choose a width for")
    heads = int(cfg.model.num_heads)
    cost = partial(_cost, cfg, budget.kind)
    step = _HEAD_DIM * heads
    low, high = 0, step
    while cost(high) < budget.amount:
        low, high = high, 2 * high
        if high > _WIDEST:
            raise VitlabError(f"budget={budget.text} is more than a model of width {_WIDEST} costs")
    while high - low > step:
        middle = (low + high) // (2 * step) * step
        low, high = (middle, high) if cost(middle) < budget.amount else (low, middle)
    costs = {width: cost(width) for width in range(max(low, heads), high + 1, heads) if _is_legal(cost, width)}
    width = min(costs, key=lambda width: abs(costs[width] - budget.amount))
    if low == 0 and costs[width] > 2 * budget.amount:
        raise VitlabError(f"budget={budget.text}: the narrowest model of {heads} heads costs {costs[width]:,} already")
    cfg.model.embed_dim = width
    return {
        "budget": {
            "asked": budget.text,
            "embed_dim": width,
            "cost": costs[width],
            "off": costs[width] / budget.amount - 1,
        }
    }


def _cost(cfg: DictConfig, kind: str, width: int) -> int:
    from vitlab.analysis.cost import count_parameters, flops_per_image

    at_width = cfg.copy()
    at_width.model.embed_dim = width
    at_width = resolved(at_width)
    model = skeleton(at_width)
    if kind == "params":
        return count_parameters(model)
    size = at_width.model.get("image_size", at_width.data.image_size)
    return flops_per_image(model, at_width.model.get("channels", at_width.data.channels), size)


def _is_legal(cost: Callable[[int], int], width: int) -> bool:
    try:
        cost(width)
    except VitlabError:
        return False
    return True


def _fit_length(cfg: DictConfig, budget: Budget) -> dict[str, Any]:
    """So many steps that they and their validations take the time, as measured now on this device."""
    from vitlab.sweeps.forecast import forecast

    pace = forecast(cfg)
    every = parse(cfg.trainer.validate_every)
    if every.unit == "of run":
        steps = (budget.amount - pace.seconds_per_validation / every.amount) / pace.seconds_per_step
    else:
        steps_between = every.steps(RunLength(0, pace.length.steps_per_epoch))
        steps = budget.amount / (pace.seconds_per_step + pace.seconds_per_validation / max(1, steps_between))
    if steps < 1:
        took = f"a step takes {pace.seconds_per_step:.3g} s, a validation {pace.seconds_per_validation:.3g} s"
        raise VitlabError(f"budget={budget.text} is less than one step: {took}")
    cfg.trainer.max_steps = int(steps)
    return {
        "budget": {"asked": budget.text, "max_steps": int(steps), "seconds_per_step": pace.seconds_per_step}
        | {"seconds_per_validation": pace.seconds_per_validation}
    }

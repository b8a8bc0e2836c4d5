"""Which settings are legal: checked when the config is composed, before anything is built.

Every rule names the key, the value and the nearest legal values. A key that a config lacks (a model of the
user's own, say) is left to the class that takes it.
"""

import math
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vitlab.duration import parse
from vitlab.errors import VitlabError

_COUNTS = (
    *("data.image_size", "data.channels", "data.num_classes"),
    *("model.image_size", "model.channels", "model.num_classes"),
    *("model.patch_size", "model.embed_dim", "model.depth", "model.num_heads"),
    *("trainer.epochs", "trainer.max_steps", "trainer.batch_size", "trainer.eval_batch_size"),
    *("trainer.accumulate", "trainer.limit_batches"),
)
_COUNTS_FROM_ZERO = ("model.num_registers", "trainer.skip_bad_steps", "data.memory_limit_mb", "data.num_workers")
_RATES = (
    *("model.drop_path", "model.patch_drop", "model.pos_drop", "model.attn_drop", "model.proj_drop", "model.mlp_drop"),
    *("objective.label_smoothing", "optimizer.momentum", "trainer.ema_decay"),
)
_OPEN_SHARES = ("data.val_fraction",)
_POSITIVE = ("optimizer.lr", "model.mlp_ratio", "model.layer_scale", "model.layer_decay", "trainer.clip_norm")
_FROM_ONE = ("scheduler.start", "scheduler.end")
_NOT_NEGATIVE = ("optimizer.weight_decay",)
_CLOSED_SHARES = ("scheduler.floor",)
_SWITCHES = (
    *("model.class_token", "model.distillation_token", "model.depthwise_shortcut", "model.pool_before_norm"),
    "model.grad_checkpointing",
    *("model.allow_mismatch", "optimizer.nesterov"),
)
_DURATIONS = ("validate_every", "save_every", "log_every", "health_every", "patience", "patch_drop_until")
_CHOICES = {
    "trainer.precision": ("fp32", "bf16", "fp16"),
    "trainer.parallel": ("ddp", "fsdp"),
    "tracker.mode": ("auto", "online", "offline", "disabled"),
}


def refuse_illegal(cfg: DictConfig, overrides: list[str]) -> None:
    """Refuse settings that cannot be trained.

    Args:
        cfg: the resolved config of ``train``.
        overrides: what was typed, to see two lengths for one run.

    Raises:
        VitlabError: the first rule that is broken.
    """
    for key in _COUNTS:
        whole_number(cfg, key, 1)
    for key in _COUNTS_FROM_ZERO:
        whole_number(cfg, key, 0)
    for key in _RATES:
        _number(cfg, key, "a rate lies in 0 <= rate < 1", lambda x: 0 <= x < 1)
    for key in _OPEN_SHARES:
        _number(cfg, key, "a share lies in 0 < share < 1", lambda x: 0 < x < 1)
    for key in _CLOSED_SHARES:
        _number(cfg, key, "a share of the learning rate lies in 0 <= share <= 1", lambda x: 0 <= x <= 1)
    for key in _POSITIVE:
        _number(cfg, key, "it must be greater than 0", lambda x: x > 0)
    for key in _FROM_ONE:
        _number(cfg, key, "it divides the learning rate, and must be 1 or more", lambda x: x >= 1)
    for key in _NOT_NEGATIVE:
        _number(cfg, key, "it must not be negative", lambda x: x >= 0)
    for key, legal in _CHOICES.items():
        _choice(cfg, key, legal)
    for key in _SWITCHES:
        _switch(cfg, key)
    whole_number(cfg, "optimizer.ns_steps", 1, 99)
    whole_number(cfg, "seed", 0, 2**64 - 1)  # what torch's generators take, and numpy's
    whole_number(cfg, "data.split_seed", 0, 2**32 - 1)
    _durations(cfg)
    _one_length(overrides)
    _heads_divide_width(cfg)
    _patch_divides_image(cfg)
    _mixes_all_classes(cfg)
    _normalises_all_channels(cfg)
    _mup_needs_adam(cfg)
    _shards_have_no_scaler(cfg)


def whole_number(cfg: DictConfig, key: str, least: int, most: float = math.inf, needed: bool = False) -> None:
    """Refuse a value of ``key`` that is no whole number from ``least`` to ``most``.

    Null and a missing key pass, unless it is ``needed``.

    Raises:
        VitlabError: it is something else.
    """
    value = OmegaConf.select(cfg, key)
    if value is None and not needed:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        span = f"from {least} up" if most == math.inf else f"from {least} to {most}"
        nearest = min(_nearest_count(value, least), most)
        told = "null" if value is None else value
        raise VitlabError(f"{key}={told} is not a whole number {span}; try {nearest}")


def refuse_model_of_other_data(cfg: DictConfig) -> None:
    """Refuse a model for images or classes that the data have not; more classes than there are do no harm.

    Raises:
        VitlabError: it is one.
    """
    for name in ("image_size", "channels", "num_classes"):
        model, data = (OmegaConf.select(cfg, f"{part}.{name}") for part in ("model", "data"))
        if model is None or data is None or model == data or (name == "num_classes" and model > data):
            continue
        raise VitlabError(f"model.{name}={model} does not fit data.{name}={data}; leave it out, and it does")


def nearest_divisors(number: int, to: int) -> str:
    """The divisors of ``number`` just below and above ``to``, in words: ``4 or 6``."""
    divisors = [d for d in range(1, number + 1) if number % d == 0]
    below, above = [d for d in divisors if d < to], [d for d in divisors if d > to]
    return " or ".join(str(d) for d in [*below[-1:], *above[:1]])


def _nearest_count(value: Any, least: int) -> int:
    is_number = isinstance(value, int | float) and math.isfinite(value)
    return max(least, round(value)) if is_number else least


def _number(cfg: DictConfig, key: str, rule: str, legal: Any) -> None:
    value = OmegaConf.select(cfg, key)
    if value is None:
        return
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or not legal(value):
        raise VitlabError(f"{key}={value} is not allowed: {rule}")


def _choice(cfg: DictConfig, key: str, legal: tuple[str, ...]) -> None:
    value = OmegaConf.select(cfg, key)
    if value is not None and value not in legal:
        raise VitlabError(f"{key}={value} is not one of {', '.join(legal)}")


def _switch(cfg: DictConfig, key: str) -> None:
    value = OmegaConf.select(cfg, key)
    if value is not None and not isinstance(value, bool):
        raise VitlabError(f"{key}={value} is neither true nor false")


def _durations(cfg: DictConfig) -> None:
    keys = [f"trainer.{name}" for name in _DURATIONS]
    keys += [f"scheduler.{name}" for name in cfg.get("scheduler") or {} if name in ("warmup", "decay", "hold")]
    for key in keys:
        value = OmegaConf.select(cfg, key)
        if value is None:
            continue
        try:
            duration = parse(value)
        except ValueError as error:
            raise VitlabError(f"{key}={value}: {error}") from None
        if key.startswith("trainer.") and duration.amount == 0:
            raise VitlabError(f"{key}={value} never comes; try '1 {duration.unit}'")


def _one_length(overrides: list[str]) -> None:
    given = [o for o in overrides if o.startswith(("trainer.epochs=", "trainer.max_steps=")) and o[-5:] != "=null"]
    if len({o.split("=")[0] for o in given}) > 1:
        raise VitlabError(f"{' and '.join(given)} give one run two lengths; leave one of them out")


def _heads_divide_width(cfg: DictConfig) -> None:
    heads, width = OmegaConf.select(cfg, "model.num_heads"), OmegaConf.select(cfg, "model.embed_dim")
    if heads and width and width % heads:
        hint = nearest_divisors(width, heads)
        raise VitlabError(f"model.num_heads={heads} does not divide model.embed_dim={width}; try {hint}")


def _patch_divides_image(cfg: DictConfig) -> None:
    patch, image = OmegaConf.select(cfg, "model.patch_size"), OmegaConf.select(cfg, "model.image_size")
    if patch and image and image % patch:
        hint = nearest_divisors(image, patch)
        raise VitlabError(f"model.patch_size={patch} does not divide the image size {image}; try {hint}")


def _mixes_all_classes(cfg: DictConfig) -> None:
    mixed, classes = OmegaConf.select(cfg, "augment.mix.num_classes"), OmegaConf.select(cfg, "model.num_classes")
    if None not in (mixed, classes) and mixed != classes:
        raise VitlabError(f"augment.mix.num_classes={mixed} is not model.num_classes={classes}; try {classes}")


def _normalises_all_channels(cfg: DictConfig) -> None:
    channels = OmegaConf.select(cfg, "data.channels")
    for key in ("data.mean", "data.std", "augment.mean", "augment.std"):
        values = OmegaConf.select(cfg, key)
        if channels is None or not OmegaConf.is_list(values):
            continue
        if len(values) != channels:
            raise VitlabError(f"{key}={values} has {len(values)} values, and data.channels={channels}: one for each")
        if key.endswith("std") and not all(isinstance(value, int | float) and value > 0 for value in values):
            raise VitlabError(f"{key}={values} divides the images, and must be greater than 0")


def _mup_needs_adam(cfg: DictConfig) -> None:
    init, optimizer = OmegaConf.select(cfg, "model.init._target_"), OmegaConf.select(cfg, "optimizer._target_")
    if init == "vitlab.models.mup.mup" and optimizer not in ("torch.optim.Adam", "torch.optim.AdamW"):
        raise VitlabError(f"model/init=mup scales the rates of Adam, not of {optimizer}; try optimizer=adamw")


def _shards_have_no_scaler(cfg: DictConfig) -> None:
    parallel, precision = (OmegaConf.select(cfg, f"trainer.{key}") for key in ("parallel", "precision"))
    if parallel == "fsdp" and precision == "fp16":
        raise VitlabError("trainer.parallel=fsdp has no loss scaler for trainer.precision=fp16; try bf16")

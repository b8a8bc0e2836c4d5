"""A model without memory: its sizes and its cost, at once and for any size."""

from typing import TYPE_CHECKING

from hydra.errors import InstantiationException
from omegaconf import DictConfig

from vitlab.config.build import build
from vitlab.config.saved import from_checkpoint

if TYPE_CHECKING:
    from torch import nn


def skeleton(cfg: DictConfig) -> "nn.Module":
    """The model of ``cfg`` on torch's meta device, where tensors have shapes and no values; files of weights unread.

    A part that looks at values while it is built cannot be built so; the model is then built as it is trained.

    Args:
        cfg: the resolved config; its number of classes is known.

    Raises:
        VitlabError: a part or its setting is refused.
    """
    import torch

    cfg = from_checkpoint(cfg)
    try:
        with torch.device("meta"):
            return build(cfg, "model", cfg.allow_targets)  # type: ignore[no-any-return]
    except (InstantiationException, NotImplementedError):
        return build(cfg, "model", cfg.allow_targets)  # type: ignore[no-any-return]

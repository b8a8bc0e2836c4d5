"""The teacher of a distillation: the best weights of a finished run, or any model that may be built."""

from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from vitlab.config import saved
from vitlab.config.build import build, refusals_of
from vitlab.errors import VitlabError, first_line
from vitlab.runs import open_run
from vitlab.trained import load_trained

if TYPE_CHECKING:
    from torch import nn

# What must be the same for both: the teacher sees the images as the student does.
_SHARED = ("image_size", "channels", "num_classes", "mean", "std")


def refuse_teacher(cfg: DictConfig) -> None:
    """Refuse a teacher that cannot serve, before a folder is claimed for the run and torch is imported.

    Raises:
        VitlabError: it is missing, is no run and no ``_target_``, or was trained on other images or classes.
    """
    if "teacher" not in (cfg.get("objective") or {}):
        return
    given = cfg.objective.teacher
    if given is None:
        hint = "it names the folder of a finished run, as in objective.teacher=outputs/DATE/TIME"
        raise VitlabError(f"objective.teacher is missing: {hint}")
    if isinstance(given, DictConfig):
        if "_target_" not in given:
            raise VitlabError("objective.teacher has no _target_, and is no folder of a run")
        return
    settings = saved.load_whole(open_run("objective.teacher", str(given)))
    for key in _SHARED:
        theirs, own = OmegaConf.select(settings, f"data.{key}"), OmegaConf.select(cfg, f"data.{key}")
        if own is not None and theirs != own:
            raise VitlabError(
                f"objective.teacher={given} was trained with data.{key}={theirs}, and this run has {own}; "
                "the teacher must see what the student sees"
            )


def build_objective(cfg: DictConfig, allow: Sequence[str]) -> tuple[Any, dict[str, str]]:
    """The objective of a run, with its teacher if it has one.

    Args:
        cfg: the whole resolved config.
        allow: packages of the user's own that may be built from.

    Returns:
        The objective, and by name the SHA-256 of the teacher's weights; nothing where there is none.

    Raises:
        VitlabError: the teacher cannot be built or read, or does not take the images or tell the classes of the run.
    """
    if "teacher" not in cfg.objective:
        return build(cfg, "objective", allow), {}
    teacher = _build_teacher(cfg, allow)
    _refuse_misfit(teacher, cfg)
    rest = cfg.copy()
    del rest.objective.teacher
    make = build(rest, "objective", allow)
    with refusals_of("objective"):
        return make(teacher), {"teacher": _hash(teacher)}


def _build_teacher(cfg: DictConfig, allow: Sequence[str]) -> "nn.Module":
    given = cfg.objective.teacher
    if not isinstance(given, DictConfig):
        return load_trained(open_run("objective.teacher", str(given)), "best", allow).model
    model: nn.Module = build(OmegaConf.create({"objective.teacher": given}), "objective.teacher", allow)
    return model


def _refuse_misfit(teacher: "nn.Module", cfg: DictConfig) -> None:
    """Show the teacher one blank image, so that what does not fit is known before the first step."""
    import torch

    if not isinstance(teacher, torch.nn.Module):
        raise VitlabError(f"objective.teacher makes a {type(teacher).__name__}, not a torch module")
    data = cfg.data
    teacher.eval()
    with torch.no_grad():
        try:
            logits = teacher(torch.zeros(1, data.channels, data.image_size, data.image_size))
        except (RuntimeError, ValueError, TypeError) as error:
            shape = f"{data.channels} x {data.image_size} x {data.image_size}"
            reason = first_line(error)
            raise VitlabError(f"objective.teacher cannot see images of {shape}: {reason}") from error
    found = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
    if found != (1, data.num_classes):
        expected = (1, data.num_classes)
        raise VitlabError(f"objective.teacher gives {found} for one image, and {expected} is needed: [B, classes]")


def _hash(teacher: "nn.Module") -> str:
    import torch

    digest = sha256()
    for name, value in teacher.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()

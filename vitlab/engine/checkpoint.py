"""Checkpoints: tensors and plain values only, written whole or not at all, sealed, read without running any code."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from vitlab.engine.seal import refuse_damaged, seal
from vitlab.engine.shards import like, refuse_damaged_shards
from vitlab.errors import VitlabError, first_line

LAST, BEST = "last.pt", "best.pt"


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: where ``last.pt`` and ``best.pt`` lie; made with the first of them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, name: str, state: dict[str, Any]) -> None:
        """Write ``state`` as ``name``: to a temporary file, flushed to the disk, then renamed.

        Raises:
            VitlabError: it cannot be written; the checkpoint that was there stays whole.
        """
        path = self.folder / name
        temporary = path.with_name(name + ".tmp")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with temporary.open("w+b") as file:
                torch.save(state, file)
                seal(file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except (OSError, RuntimeError) as error:  # torch turns a full disk into a RuntimeError
            temporary.unlink(missing_ok=True)
            raise VitlabError(f"{path} cannot be written ({error}); free some space and go on with resume=") from error

    def load_latest(self, say: Callable[[str], None]) -> dict[str, Any] | None:
        """The state in ``last.pt``, or in ``best.pt`` where the last is missing or torn; None if there is neither.

        Raises:
            VitlabError: there are checkpoints, and none can be read.
        """
        torn = []
        for name in (LAST, BEST):
            path = self.folder / name
            if not path.exists():
                continue
            try:
                state = read(path)
            except VitlabError as error:
                torn.append(str(error))
                continue
            for problem in torn:
                say(f"{problem}; going on from {path.name} (step {state['step']})")
            return state
        if torn:
            raise VitlabError("; ".join(torn))
        return None


def read(path: Path) -> dict[str, Any]:
    """The state in the file ``path``, its tensors on the CPU.

    Raises:
        VitlabError: the file is missing, torn, or not a checkpoint of vitlab.
    """
    if not path.is_file():
        raise VitlabError(f"there is no checkpoint {path}")
    try:
        refuse_damaged(path)
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if not _is_ours(state):
            raise VitlabError(f"{path} is not a checkpoint of vitlab")
        refuse_damaged_shards(state, path.parent)
    except VitlabError:
        raise
    except Exception as error:  # of bytes that are no pickle torch raises what they happen to lead to
        raise VitlabError(f"{path} cannot be read as a checkpoint ({first_line(error)})") from error
    return state


def _is_ours(state: Any) -> bool:
    """Whether it holds a step and weights, whatever these are like."""
    if not isinstance(state, dict) or not {"step", "model", "ema"} <= state.keys():
        return False
    averaged = state["ema"] if state["ema"] is not None else {"model": {}}
    has_averaged = isinstance(averaged, dict) and isinstance(averaged.get("model"), dict)
    return has_averaged and isinstance(state["model"], dict) and isinstance(state["step"], int)


def load_weights(module: torch.nn.Module, weights: dict[str, Any], path: Path) -> None:
    """Put ``weights``, read from ``path``, into ``module``.

    Raises:
        VitlabError: they are of another architecture; the first differences are named.
    """
    own = module.state_dict()
    wrong = [f"{k} is missing" for k in own.keys() - weights.keys()]
    wrong += [f"{k} is not in this model" for k in weights.keys() - own.keys()]
    for k in own.keys() & weights.keys():
        if not isinstance(weights[k], torch.Tensor) or weights[k].layout != torch.strided:
            wrong.append(f"{k} is not a tensor")
        elif own[k].shape != weights[k].shape:
            wrong.append(f"{k} is {_shape(weights[k])} and not {_shape(own[k])}")
    if wrong:
        shown = "; ".join(sorted(wrong)[:4]) + (f"; and {len(wrong) - 4} more" if len(wrong) > 4 else "")
        raise VitlabError(f"{path} holds weights of another architecture: {shown}")
    module.load_state_dict({name: like(own[name], weights[name]) for name in own})


def _shape(tensor: torch.Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a scalar"

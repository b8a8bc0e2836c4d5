"""A model in shards: its state put together, or written by each process and read by any number of them.

The files are those of torch's distributed checkpoint in its safetensors form. Its own form is read with pickle, which
runs whatever code a stranger put into it.
"""

import hashlib
import re
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vitlab.engine.contracts import Optimizer
from vitlab.engine.distributed import World
from vitlab.errors import VitlabError, first_line

if TYPE_CHECKING:
    from vitlab.engine.trainer import Trainer

_FOLDER = "last.shards-{}"
_IN_FILES = "in the files of its shards"


def is_shard(value: Any) -> bool:
    """Whether it is a tensor of which each process has a part: torch's DTensor, which takes a second to import."""
    return hasattr(value, "full_tensor")


def each(state: Any, change: Callable[[str, Any], Any], name: str = "") -> Any:
    """``state`` with ``change(dotted name, value)`` in the place of every value in its dicts, lists and tuples."""
    if isinstance(state, dict):
        return {key: each(value, change, f"{name}.{key}" if name else str(key)) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(each(value, change, f"{name}.{number}") for number, value in enumerate(state))
    return change(name, state)


def whole(tensor: Tensor) -> Tensor:
    """``tensor``, put together if it lies in shards. All processes call it together."""
    together: Tensor = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return together


def gathered(state: dict[str, Any], world: World) -> dict[str, Any]:
    """``state`` put together in the host memory of the first process; the others get what does not lie in shards."""

    def gather(_: str, value: Any) -> Any:
        if not is_shard(value):
            return value
        tensor = value.full_tensor()
        return tensor.cpu() if world.leads else None

    result: dict[str, Any] = each(state, gather)
    return result


def like(own: Any, tensor: Tensor) -> Tensor:
    """``tensor``, cut into shards as ``own`` is, if it is and ``tensor`` is not."""
    if not is_shard(own) or is_shard(tensor):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor.to(own.device), own.device_mesh, own.placements)


def cut_state(optimizer: Optimizer) -> None:
    """Cut what ``optimizer`` has read from a checkpoint as its parameters are cut."""
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                state[name] = like(parameter, value)


def write_shards(state: dict[str, Any], folder: Path, world: World) -> dict[str, Any]:
    """Let each process write its shards of ``state`` to files in ``folder``, all together.

    Returns:
        The rest of ``state``, which names those files and their checksums; ``state`` itself if nothing in it lies in
        shards.

    Raises:
        VitlabError: a file cannot be written; the files of before stay whole.
    """
    shards: dict[str, Tensor] = {}

    def take(name: str, value: Any) -> Any:
        if not is_shard(value):
            return value
        shards[name] = value
        return _IN_FILES

    rest: dict[str, Any] = each(state, take)
    if not shards:
        return state
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
    from torch.distributed.checkpoint.state_dict_saver import save

    path = folder / world.from_leader(_new_folder(folder) if world.leads else None)
    writer = HuggingFaceStorageWriter(str(path), save_distributed=True)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with _quiet():
            save(shards, storage_writer=writer, no_dist=world.size == 1)
        names = sorted(file.name for file in path.iterdir())
        own = {name: _checksum(path / name) for name in names[world.rank :: world.size]}
    except (OSError, RuntimeError, CheckpointException) as error:
        why = first_line(error)
        raise VitlabError(f"{path} cannot be written ({why}); free some space and go on with resume=") from error
    checksums = {name: checksum for part in world.gather(own) for name, checksum in part.items()}
    return rest | {"shards": {"folder": path.name, "files": checksums}}


def _new_folder(folder: Path) -> str:
    return _FOLDER.format(max(_numbered(folder), default=0) + 1)


def _numbered(folder: Path) -> dict[int, Path]:
    """The folders of shards in ``folder`` by their number; what only has a like name is the user's own."""
    found = {path.name.rpartition("-")[2]: path for path in folder.glob(_FOLDER.format("*"))}
    return {int(number): path for number, path in found.items() if re.fullmatch("[0-9]+", number)}


def forget_other_shards(state: dict[str, Any], folder: Path) -> None:
    """Remove all files of shards in ``folder`` but those of ``state``, which is saved."""
    for path in _numbered(folder).values():
        if path.name != state.get("shards", {}).get("folder"):
            shutil.rmtree(path, ignore_errors=True)


def refuse_damaged_shards(state: dict[str, Any], folder: Path) -> None:
    """Make sure that the files of the shards of ``state`` in ``folder`` hold what was written.

    Raises:
        ValueError: one does not.
        OSError: one cannot be read.
    """
    if "shards" not in state:
        return
    try:
        name, checksums = str(state["shards"]["folder"]), dict(state["shards"]["files"])
    except (TypeError, KeyError) as error:
        raise ValueError("it does not say which files its shards are in") from error
    if any(Path(str(part)).name != part for part in (name, *checksums)):
        raise ValueError("its shards lie outside of its folder")
    if {path.name for path in (folder / name).iterdir()} != set(checksums):
        raise ValueError(f"{name} does not hold the files that were written")
    for file, checksum in checksums.items():
        if _checksum(folder / name / file) != checksum:
            raise ValueError(f"{name}/{file} is not what was written: cut off or damaged")


def with_shards(state: dict[str, Any], trainer: "Trainer") -> dict[str, Any]:
    """``state`` with the tensors that lie in files, each process reading what it needs. All call it together.

    Raises:
        VitlabError: the files cannot be read.
    """
    if "shards" not in state:
        return state
    path = trainer.parts.checkpoints.folder / state["shards"]["folder"]
    try:
        shards = _read_shards(path, trainer)
    except Exception as error:  # torch and safetensors raise what they like
        raise VitlabError(f"the shards in {path} cannot be read ({first_line(error)})") from error
    result: dict[str, Any] = each(state, lambda name, value: shards[name] if _is_in_files(value) else value)
    return result


def _read_shards(path: Path, trainer: "Trainer") -> dict[str, Tensor]:
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata
    from torch.distributed.checkpoint.state_dict_loader import load

    own = _by_name(trainer)
    reader = HuggingFaceStorageReader(str(path))
    shards: dict[str, Tensor] = {}
    for name, written in reader.read_metadata().state_dict_metadata.items():
        assert isinstance(written, TensorStorageMetadata)  # nothing else is in safetensors
        dtype = written.properties.dtype
        place = own.get(name, own.get(name.rpartition(".")[0]))  # optimizer.state.3.exp_avg is as parameter 3
        if place is not None and place.shape == written.size:
            shards[name] = torch.zeros_like(place, dtype=dtype)
        else:
            shards[name] = torch.zeros(written.size, dtype=dtype)
    with _quiet():
        load(dict(shards), storage_reader=reader, no_dist=trainer.world.size == 1)
    return shards


def _is_in_files(value: Any) -> bool:
    return isinstance(value, str) and value == _IN_FILES


def _by_name(trainer: "Trainer") -> dict[str, Tensor]:
    """The tensors of ``trainer`` as a snapshot of it names them, parameters in the place of their optimizer's state."""
    own = {f"model.{name}": tensor for name, tensor in trainer.model.state_dict().items()}
    if trainer.ema is not None:
        own |= {f"ema.model.{name}": tensor for name, tensor in trainer.ema.module.state_dict().items()}
    parameters = (parameter for group in trainer.optimizer.param_groups for parameter in group["params"])
    return own | {f"optimizer.state.{number}": parameter.detach() for number, parameter in enumerate(parameters)}


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's advice on what its readers and writers are for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

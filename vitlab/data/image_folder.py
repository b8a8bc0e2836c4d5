"""A folder of images: ``train/``, ``val/`` and ``test/`` with a folder for each class, or the classes at once."""

import hashlib
import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.progress import track

from vitlab.data.decode import RUN_PROGRAMS, decode
from vitlab.data.paths import Paths
from vitlab.data.source import Files, Pixels, Request

_SPLITS = ("train", "val", "test")
_SHOWN = 5
_FORMAT = "1"  # of the cache: another number makes all old ones stale
_LOGGER = logging.getLogger("vitlab")


class ImageFolder:
    """Images in class folders. Classes are sorted by name; what Pillow cannot read by its ending is passed over.

    With ``train/`` and ``val/`` but no ``test/``, ``val/`` is the held-out test, as ImageNet's is used. Folders that
    fit into memory are decoded once, in parallel, and kept as one array file; larger ones are read as they are needed.

    Args:
        cache_dir: where the array files lie; null keeps none.
    """

    def __init__(self, cache_dir: str | None = "~/.cache/vitlab") -> None:
        self.cache_dir = Path(cache_dir).expanduser() if cache_dir is not None else None

    def read(self, request: Request) -> tuple[dict[str, Pixels | Files], tuple[str, ...]]:
        """The splits that the folder has; a folder of classes alone is one ``train``.

        Raises:
            FileNotFoundError: there is no such folder.
            ValueError: it holds no classes, an empty class, a damaged image, splits with different classes, or splits
                without train/.
        """
        root = request.root
        if root is None or not root.is_dir():
            raise FileNotFoundError(
                f"data.root={root} is not a folder; it must hold train/ and test/, or class folders"
            )
        folders = {name: root / name for name in _SPLITS if (root / name).is_dir()}
        if folders and "train" not in folders:
            raise ValueError(f"{root} holds {' and '.join(f'{name}/' for name in folders)} but no train/")
        if not folders:
            folders = {"train": root}
        elif "test" not in folders and "val" in folders:
            folders["test"] = folders.pop("val")
        names = _same_classes(folders)
        splits = {split: _list(folder, names) for split, folder in folders.items()}
        count = sum(len(files.paths) for files in splits.values())
        if count * request.channels * request.image_size**2 > request.memory_limit:
            return dict(splits), names
        return {split: self._decoded(files, folders[split], request) for split, files in splits.items()}, names

    def _decoded(self, files: Files, folder: Path, request: Request) -> Pixels:
        """All images of a split, from the cache where they have not changed since."""
        shape = (len(files.paths), request.channels, request.image_size, request.image_size)
        cache = self.cache_dir / f"{_key(files.paths, folder, shape)}.npy" if self.cache_dir else None
        array = _load(cache, shape) if cache is not None else None
        if array is None:
            array = _decode_all(files.paths, shape, description=f"decoding {folder.name}/")
            if cache is not None:
                _store(cache, array)
        return Pixels(torch.from_numpy(array), files.labels)


def _same_classes(folders: dict[str, Path]) -> tuple[str, ...]:
    classes = {split: {p.name for p in folder.iterdir() if _is_class(p)} for split, folder in folders.items()}
    for split, names in classes.items():
        if not names:
            raise ValueError(
                f"{folders[split]} holds no class folders; it must hold one folder of images for each class"
            )
        if only := sorted(names ^ classes["train"]):
            raise ValueError(
                f"train/ and {split}/ have different classes: {', '.join(only[:_SHOWN])} in one of them only"
            )
    return tuple(sorted(classes["train"]))


def _is_class(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".")


def _list(folder: Path, names: tuple[str, ...]) -> Files:
    """Paths and labels, class by class, each in the order of its names."""
    paths, counts = Paths(folder), []
    for name in names:
        inside = sorted(_images_below(folder, name), key=lambda path: path.split(os.sep))  # noqa: PTH206
        if not inside:
            raise ValueError(f"the class folder {folder / name} holds no images")
        paths.extend(inside)
        counts.append(len(inside))
    return Files(paths, torch.arange(len(names)).repeat_interleave(torch.tensor(counts)))


def _images_below(folder: Path, name: str) -> Iterator[str]:
    """From ``folder`` on, every file in its folder ``name`` and in those inside that Pillow may read."""
    endings = tuple(ending for ending, form in Image.registered_extensions().items() if form not in RUN_PROGRAMS)
    above = len(str(folder / "x")) - 1
    for inside, _, files in os.walk(folder / name):
        for file in files:
            path = os.path.join(inside, file)  # noqa: PTH118 -- of millions of files, a Path each takes minutes
            if file.lower().endswith(endings) and os.path.isfile(path):  # noqa: PTH113
                yield path[above:]


def _key(paths: Paths, folder: Path, shape: tuple[int, ...]) -> str:
    """A name that changes with any file's place, name, size or time, and with what is wanted of them."""
    # Unpacked archives of uncompressed images may agree in all but the place: without it test could be read as train.
    sha = hashlib.sha256(f"{_FORMAT} {shape} {folder.resolve()}".encode(errors="surrogateescape"))
    for path in paths:
        stat = path.stat()
        sha.update(f"{path.relative_to(folder)}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return sha.hexdigest()


def _decode_all(paths: Paths, shape: tuple[int, ...], description: str) -> np.ndarray:
    """uint8 [N, C, H, W], decoded by as many threads as there are cores: Pillow works outside of Python's lock."""
    array = np.empty(shape, dtype=np.uint8)
    _, channels, image_size, _ = shape

    def one(number: int) -> str | None:
        try:
            array[number] = decode(paths[number], image_size, channels)
        except ValueError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(one, range(len(paths)))
        console = Console(stderr=True)
        problems = [p for p in track(results, description, len(paths), console=console, transient=True) if p]
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise ValueError("; ".join(problems[:_SHOWN]) + more)
    return array


def _load(cache: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The array in ``cache``; None if there is none, or a damaged one."""
    try:
        array: np.ndarray = np.load(cache, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return array if array.shape == shape and array.dtype == np.uint8 else None


def _store(cache: Path, array: np.ndarray) -> None:
    """Keep ``array``, whole or not at all; without room for it the next run decodes again."""
    temporary = cache.with_name(f"{cache.name}.{os.getpid()}.tmp")
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            np.save(file, array)
        temporary.replace(cache)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        _LOGGER.warning("decoded images are not kept: %s cannot be written (%s)", cache, error)

"""Images that a user names: files, folders, or a list of both."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitlab.errors import VitlabError

if TYPE_CHECKING:  # torch is imported only once there is something to read
    from torch import Tensor

_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
_MOST_SHOWN = 3  # files that could not be read, by name


def named(images: Any, but: Path | None = None) -> list[Path]:
    """The files that ``images=`` names, those of a folder in the order of their names.

    Args:
        images: a name or several.
        but: a file that is passed over in a folder.

    Raises:
        VitlabError: no image is named, or there is no such file or folder, or no image in it.
    """
    names = [images] if isinstance(images, str) or not isinstance(images, Sequence) else images
    paths = [path for name in names for path in _named(name, but)]
    if not paths:
        raise VitlabError(f"images={images} names no image")
    return paths


def _named(name: Any, but: Path | None) -> list[Path]:
    if not str(name):
        raise VitlabError("images= is empty; images=. names the folder where you are")
    path = Path(str(name)).expanduser()
    if path.is_dir():
        files = (file for file in path.rglob("*") if file.suffix.lower() in _ENDINGS and _is_file(file))
        found = sorted(file for file in files if but is None or file.resolve() != but.resolve())
        if not found:
            raise VitlabError(f"images={name}: there is no image in this folder ({', '.join(_ENDINGS)})")
        return found
    if not path.exists():
        raise VitlabError(f"images={name}: there is no such file or folder")
    return [path]


def _is_file(path: Path) -> bool:
    """Also of a link to what is gone, so that it is told."""
    return path.is_file() or (path.is_symlink() and not path.exists())


def read(paths: Sequence[Path], image_size: int, channels: int) -> "tuple[Tensor, list[Path], list[str]]":
    """Images of any size and mode as a model takes them.

    Args:
        paths: of the files.
        image_size: height and width, in pixels.
        channels: 1 for grey, 3 for colour.

    Returns:
        uint8 [B, C, S, S], the paths of these, and what is wrong with the files that are no images.
    """
    import torch

    from vitlab.data.decode import decode

    arrays, good, broken = [], [], []
    for path in paths:
        try:
            arrays.append(torch.from_numpy(decode(path, image_size, channels).copy()))
            good.append(path)
        except ValueError as error:
            broken.append(str(error))
    none = torch.empty(0, channels, image_size, image_size, dtype=torch.uint8)
    return torch.stack(arrays) if arrays else none, good, broken


def left_out(broken: Sequence[str], of: int) -> str:
    """What is said of files that are no images: how many of how many, and what is wrong with the first."""
    shown = "; ".join(broken[:_MOST_SHOWN]) + ("; …" if len(broken) > _MOST_SHOWN else "")
    files, are = ("file" if of == 1 else "files"), ("is" if len(broken) == 1 else "are")
    return f"{len(broken)} of {of} {files} {are} left out: {shown}"

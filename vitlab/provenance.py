"""Where a result comes from: commit, uncommitted changes, versions, device, hashes, seed."""

import json
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from vitlab.errors import VitlabError
from vitlab.runs import RunFolder, write_json

_PACKAGES = ("vitlab", "torch", "torchvision", "numpy", "hydra-core", "omegaconf", "scikit-learn", "pillow", "wandb")


def save_once(run: RunFolder, seed: int, device: str, hashes: dict[str, str], class_names: Sequence[str] = ()) -> None:
    """Write ``provenance.json`` into the folder of ``run``, unless it goes on and has one."""
    if not run.provenance.exists():
        write_json(run.provenance, {**collect(seed, device, hashes), "class_names": list(class_names)})


def class_names(run: RunFolder) -> list[str]:
    """Names of the classes that ``run`` was trained on, in the order of its labels; empty where nothing tells them."""
    try:
        names: list[str] = json.loads(run.provenance.read_text()).get("class_names", [])
    except (OSError, ValueError, AttributeError):
        return []
    return names


def refuse_other_data(run: RunFolder, hashes: dict[str, str]) -> None:
    """Make sure that the images, their splits and the teacher are still those that ``run`` began with.

    Raises:
        VitlabError: they are not.
    """
    if not run.provenance.exists():
        return
    before = json.loads(run.provenance.read_text())["hashes"]
    changed = sorted(name for name in hashes if before.get(name) != hashes[name])
    if changed:
        raise VitlabError(f"{run.path} was trained on other data: {', '.join(changed)} changed since")


def collect(seed: int, device: str, hashes: dict[str, str]) -> dict[str, Any]:
    """What ``provenance.json`` holds.

    Args:
        seed: the run's seed.
        device: the device's name, as a person would say it.
        hashes: SHA-256 of the data and of the indices of each split.
    """
    source = Path(__file__).resolve().parents[1]
    return {
        "seed": seed,
        "device": device,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "commit": _git(source, "rev-parse", "HEAD"),
        "uncommitted": _git(source, "diff", "HEAD"),
        "versions": {name: _version(name) for name in _PACKAGES},
        "hashes": hashes,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(folder: Path, *arguments: str) -> str | None:
    """Output of a git command, or None where vitlab does not run from a checkout of its own."""
    if not (folder / ".git").exists():
        return None
    try:
        done = subprocess.run(  # noqa: S603
            ["git", *arguments],  # noqa: S607
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()

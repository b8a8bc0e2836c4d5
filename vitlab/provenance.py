"""Where a result comes from: commit, uncommitted changes, versions, device, hashes, seed."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = ("vitlab", "torch", "torchvision", "numpy", "hydra-core", "omegaconf", "scikit-learn", "pillow", "wandb")


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

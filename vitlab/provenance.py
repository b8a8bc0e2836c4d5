"""Where a result comes from: commit, uncommitted changes, versions, device, hashes, seed."""

import json
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from vitlab.config.secrets import hidden_in
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
        names = json.loads(run.provenance.read_text()).get("class_names")
    except (OSError, ValueError, AttributeError, RecursionError):
        return []
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else []


def read(run: RunFolder) -> dict[str, Any]:
    """What ``provenance.json`` of ``run`` holds.

    Raises:
        VitlabError: it cannot be read, or tells nothing of the data.
    """
    try:
        content = json.loads(run.provenance.read_text())
        if isinstance(content["hashes"], dict):
            return dict(content)
        problem = "hashes is no table"
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        problem = f"{type(error).__name__}: {error}"
    raise VitlabError(f"{run.provenance} does not tell where the run comes from ({problem})")


def refuse_other_data(run: RunFolder, hashes: dict[str, str], hint: str = "") -> None:
    """Make sure that the images, their splits and the teacher are still those that ``run`` began with.

    Args:
        run: the folder of the run.
        hashes: of what there is now.
        hint: what to do about it, behind the message.

    Raises:
        VitlabError: they are not.
    """
    if changed := _changed(run, hashes):
        raise VitlabError(f"{run.path} was trained on other data: {', '.join(changed)} changed since{hint}")


def accept_other_data(run: RunFolder, hashes: dict[str, str]) -> list[str]:
    """Write down with which data ``run`` goes on from here.

    Returns:
        What of its data has ever changed since it began.
    """
    if not run.provenance.exists():
        return []
    content, changed = read(run), _changed(run, hashes)
    before = content.get("changed_data")
    ever = [name for name in sorted(hashes) if name in changed or (isinstance(before, list) and name in before)]
    if changed:
        write_json(run.provenance, {**content, "changed_data": ever, "hashes": hashes})
    return ever


def _changed(run: RunFolder, hashes: dict[str, str]) -> list[str]:
    if not run.provenance.exists():
        return []
    before = read(run)["hashes"]
    return sorted(name for name in hashes if before.get(name) != hashes[name])


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
    return hidden_in(done.stdout.strip())

"""``python -m benchmarks.to_accuracy data=image_folder_32 data.root=PATH``: seconds to an accuracy, beside the seed.

Both recipes train on the same 5,000 images of CIFAR-10, drawn class by class, and are judged on 2,000 others of its
training images after each epoch; the seconds are those of the run: reading batches, augmenting, training, validating.
What is typed goes to both: where the images lie, ``trainer.device``. The seed recipe has one run of at most
``MINUTES`` (15), ours one for each of three seeds, one after the other.
"""

import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from statistics import median

import torch
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import OmegaConf

from benchmarks.side_by_side import machine, write
from vitlab.assembly import assemble
from vitlab.config.command import explain
from vitlab.config.compose import conf_dir, register_resolvers
from vitlab.data.source import Files, Pixels, Request, Source
from vitlab.data.splits import carve
from vitlab.errors import Interrupted, VitlabError

_IMAGES, _JUDGES = 5000, 2000
_GOALS = (0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7)
_SEEDS = (0, 1, 2)
_SEED_RECIPE, _OURS = "seed_cifar10", "cpu_cifar10"

Curve = list[tuple[float, float]]
"""Seconds and validation accuracy, after each validation."""


def main() -> None:
    """Train both recipes and write the table."""
    typed = sys.argv[1:]
    try:
        minutes = float(os.environ.get("MINUTES", "15"))
    except ValueError:
        sys.exit(f"MINUTES={os.environ['MINUTES']} is no number")
    theirs = _curve(_SEED_RECIPE, 0, typed, 60 * minutes)
    ours = [_curve(_OURS, seed, typed, 60 * minutes) for seed in _SEEDS]
    best = max(accuracy for _, accuracy in theirs)
    lines = [f"{machine()}; {_IMAGES} training images ({' '.join(word for word in typed if 'root' not in word)})", ""]
    lines += [
        f"| val accuracy | {_SEED_RECIPE}, s | {_OURS}, s (seeds {_SEEDS[0]}–{_SEEDS[-1]}) | less time |",
        "|---|---|---|---|",
    ]
    for goal in sorted([*_GOALS, best]):
        lines.append(_row(goal, _reached(theirs, goal), [_reached(curve, goal) for curve in ours], theirs[-1][0]))
    ends = ", ".join(f"{curve[-1][1]:.1%}" for curve in ours)
    lines += ["", f"{_SEED_RECIPE} had {minutes:g} minutes, {len(theirs)} epochs, and was {best:.1%} at best; "]
    lines[-1] += f"{_OURS} ended at {ends} after {median(curve[-1][0] for curve in ours):.0f} s."
    write("to_accuracy", "\n".join(lines))


def _row(goal: float, theirs: float | None, ours: list[float | None], limit: float) -> str:
    if any(one is None for one in ours):
        return f"| {goal:.1%} | {_or_not(theirs)} | not reached by {sum(one is None for one in ours)} of 3 | |"
    times = sorted(one for one in ours if one is not None)
    ratio = (limit if theirs is None else theirs) / median(times)
    spread = f"{median(times):.0f} ({times[0]:.0f}–{times[-1]:.0f})"
    return f"| {goal:.1%} | {_or_not(theirs)} | {spread} | {'more than ' if theirs is None else ''}{ratio:.1f}x |"


def _or_not(seconds: float | None) -> str:
    return "not reached" if seconds is None else f"{seconds:.0f}"


def _reached(curve: Curve, goal: float) -> float | None:
    return next((seconds for seconds, accuracy in curve if accuracy >= goal), None)


class Subset:
    """A part of the training images of another source, and another part to validate on, which is the test too."""

    def __init__(self, of: Source) -> None:
        self._of = of

    def read(self, request: Request) -> tuple[dict[str, Pixels | Files], tuple[str, ...]]:
        """The same images for every seed."""
        splits, names = self._of.read(request)
        train = splits["train"]
        assert isinstance(train, Pixels)
        rest, ours = carve(train.labels.numpy(), _IMAGES / len(train.labels), seed=0)
        _, judges = carve(train.labels.numpy()[rest], _JUDGES / len(rest), seed=1)
        val = _only(train, torch.from_numpy(rest[judges]))
        return {"train": _only(train, torch.from_numpy(ours)), "val": val, "test": val}, names


def _only(pixels: Pixels, index: torch.Tensor) -> Pixels:
    return Pixels(pixels.images[index], pixels.labels[index])


class _Limit:
    """Asks for a stop when the time is over."""

    requested = False

    def obey(self) -> None:
        if self.requested:
            raise Interrupted(signal.SIGTERM)


class _Curve:
    """A tracker that keeps the validation accuracies."""

    def __init__(self, limit: _Limit, seconds: float) -> None:
        self.curve: Curve = []
        self._limit, self._seconds = limit, seconds

    def log(self, row: Mapping[str, float]) -> None:
        if "val/accuracy" in row:
            self.curve.append((row["seconds"], row["val/accuracy"]))
            print(f"{row['seconds']:6.0f} s  {row['val/accuracy']:.2%}", file=sys.stderr)
            self._limit.requested = row["seconds"] > self._seconds

    def progress(self, step: int) -> None:
        pass

    def say(self, message: str) -> None:
        pass


def _curve(recipe: str, seed: int, typed: list[str], seconds: float) -> Curve:
    print(f"{recipe}, seed {seed}", file=sys.stderr)
    register_resolvers()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("train", [f"experiment={recipe}", "tracker=none", *typed, f"seed={seed}"])
    OmegaConf.set_struct(cfg, False)
    cfg.data.source = {"_target_": "benchmarks.to_accuracy.Subset", "of": cfg.data.source}
    cfg.data.select_on_test = False
    cfg.allow_targets = ["benchmarks"]
    limit = _Limit()
    tracker = _Curve(limit, seconds)
    with tempfile.TemporaryDirectory() as folder, suppress(Interrupted):
        assemble(cfg, Path(folder), limit).trainer.fit(tracker)
    return tracker.curve


if __name__ == "__main__":
    try:
        main()
    except (VitlabError, HydraException) as error:
        sys.exit(explain(error))

"""``python -m benchmarks.soak``: runs that are killed (``kill -9``) at random moments and resumed end as unbroken ones.

Each recipe trains on the digits unbroken, and again with kills and resumes; ``KILLS`` (200) in all, at moments drawn by
``SEED`` (0). At the end weights, optimizer, generators and rows must be the same to the bit. Each life is a process of
its own, forked before anything but imports has happened.
"""

import os
import random
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from hydra.core.global_hydra import GlobalHydra

import vitlab.assembly
import vitlab.tracking.wandb_run
import vitlab.train
from benchmarks.side_by_side import machine, write
from vitlab.engine.checkpoint import BEST, LAST, read
from vitlab.engine.snapshot import first_difference_of_states
from vitlab.runs import RunFolder
from vitlab.tracking.records import first_difference, rows_of

_SMALL = ("model.depth=2", "model.embed_dim=32", "model.num_heads=2", "trainer.device=cpu", "trainer.epochs=12")
_OFTEN = ("trainer.save_every=3 steps", "trainer.log_every=2 steps", "trainer.validate_every=0.5 epochs")
_RECIPES = {
    "dropout, drop path": ("model.mlp_drop=0.1", "model.drop_path=0.1", "tracker=none"),
    "strong augmentation, EMA": ("augment=strong", "trainer.ema_decay=0.99", "tracker=none"),
    "accumulation, clipping, Muon": (
        "trainer.accumulate=2",
        "trainer.clip_norm=1.0",
        "optimizer=muon",
        "tracker=none",
    ),
    "bf16, patch drop": ("trainer.precision=bf16", "model.patch_drop=0.25", "tracker=none"),
    "all of it, W&B offline": (
        *("model.mlp_drop=0.1", "model.drop_path=0.1", "augment=strong", "trainer.ema_decay=0.99"),
        *("trainer.accumulate=2", "optimizer=muon", "tracker.mode=offline"),
    ),
}


@dataclass
class Outcome:
    """What became of one recipe."""

    kills: int = 0
    lives: int = 0
    unbegun: int = 0  # killed before there was anything to resume
    difference: str | None = None


def main() -> None:
    """Kill, resume, compare, and write the table."""
    kills, draw = int(os.environ.get("KILLS", "200")), random.Random(int(os.environ.get("SEED", "0")))
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    lines = [
        machine(),
        "",
        "| recipe | kills | of these before anything was saved | the same to the bit |",
        "|---|---|---|---|",
    ]
    failed = False
    for name, overrides in _RECIPES.items():
        outcome = _soak(overrides, -(-kills // len(_RECIPES)), draw)
        failed |= outcome.difference is not None
        lines.append(f"| {name} | {outcome.kills} | {outcome.unbegun} | {outcome.difference or 'yes'} |")
        print(lines[-1], file=sys.stderr)
    write("soak", "\n".join(lines))
    sys.exit(failed)


def _soak(overrides: tuple[str, ...], kills: int, draw: random.Random) -> Outcome:
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as folder:
        unbroken = Path(folder, "unbroken")
        began = time.monotonic()
        assert _live(unbroken, overrides, None) == 0, (unbroken / "train.log").read_text()
        whole = time.monotonic() - began
        number = 0
        while outcome.kills < kills and outcome.difference is None:
            number += 1
            broken = Path(folder, f"broken{number}")
            # A life lasts a third of a run on average, so that some die while they start and some come to the end.
            while _live(broken, overrides, draw.uniform(0, 2 * whole / 3) if outcome.kills < kills else None) != 0:
                outcome.kills += 1
                if broken.exists() and not (broken / "config.yaml").exists():
                    outcome.unbegun += 1
                    shutil.rmtree(broken)
            outcome.difference = _difference(unbroken, broken)
    return outcome


def _live(folder: Path, overrides: tuple[str, ...], seconds: float | None) -> int:
    """Begin the run in ``folder``, or go on with it, for so many seconds; the exit code, or minus the signal."""
    start = [f"resume={folder}"] if (folder / "config.yaml").exists() else [f"hydra.run.dir={folder}", *_SMALL, *_OFTEN]
    pid = os.fork()
    if pid == 0:
        sys.argv[1:] = start if start[0].startswith("resume") else [*start, *overrides]
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        torch.set_num_threads(1)
        GlobalHydra.instance().clear()
        try:
            vitlab.train.main()
        except SystemExit as end:
            os._exit(end.code if isinstance(end.code, int) else 1)
        except BaseException:
            os._exit(99)
        os._exit(0)
    deadline = time.monotonic() + (seconds if seconds is not None else 600)
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            assert code == 0, f"{folder}: exit code {code}"
            return 0
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _difference(unbroken: Path, broken: Path) -> str | None:
    difference = first_difference(rows_of(unbroken), rows_of(broken), ("unbroken", "resumed"))
    if difference is not None:
        return difference
    for name in (LAST, BEST):
        one, other = (read(RunFolder(path).checkpoints / name) for path in (unbroken, broken))
        if (value := first_difference_of_states(one, other)) is not None:
            return f"{name}: {value} differs"
    if len({path.name.split("-")[-1] for path in broken.glob("wandb/*run-*")}) > 1:
        return "there is more than one run of W&B"
    return None


if __name__ == "__main__":
    main()

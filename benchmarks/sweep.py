"""``python -m benchmarks.sweep``: what a sweep costs beside its jobs, against the same runs typed one by one.

Digits, two threads, one job at a time, so that both do the same work in the same order; rounds in turns.
"""

import subprocess
import sys
import tempfile
import time
from statistics import median

from benchmarks.side_by_side import machine, written

_ROUNDS = 4
_JOBS = 4
_RUN = ("trainer.epochs=40", "tracker=none")


def main() -> None:
    """Print the table."""
    print(f"{machine()}; median of {_ROUNDS} rounds in turns; {_JOBS} jobs of 40 epochs of digits, one at a time\n")
    one_by_one, swept, starts = [], [], []
    for _ in range(_ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            one_by_one.append(sum(_seconds(folder, f"seed={seed}", *_RUN) for seed in range(_JOBS)))
            seeds = ",".join(map(str, range(_JOBS)))
            swept.append(_seconds(folder, "-m", f"seed={seeds}", "hydra.launcher.at_once=1", *_RUN))
            starts.append(_seconds(folder, "trainer.max_steps=1", "tracker=none"))
    run = median(one_by_one) / _JOBS
    overhead = (median(swept) - median(one_by_one)) / _JOBS
    print("| what | seconds |\n|---|---|")
    print(f"| a run typed by itself | {run:.2f} |")
    print(f"| of that, a run of one step: process start, imports, data | {median(starts):.2f} |")
    print(f"| the same run as a job of a sweep | {median(swept) / _JOBS:.2f} |")
    print(f"| overhead of the sweep per job | {overhead:+.2f} ({overhead / run:+.1%} of a run) |")


def _seconds(folder: str, *arguments: str) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-m", "vitlab.train", *arguments], cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - begun


if __name__ == "__main__":
    with written("sweep"):
        main()

"""Timing several ways of doing the same, in turns, so that a busy machine slows all of them alike."""

import io
import platform
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from statistics import median

import torch

RESULTS = Path(__file__).with_name("RESULTS.md")


def in_turns(
    contestants: Mapping[str, Callable[[], object]], rounds: int = 9, settle: Callable[[], None] = lambda: None
) -> dict[str, list[float]]:
    """Seconds of each contestant in each round, after one round that is not counted.

    Args:
        contestants: what is timed, by name.
        rounds: how many count.
        settle: waits until the work is done, for devices that work on after a call has returned.
    """
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, run in contestants.items():
            settle()
            begin = time.perf_counter()
            run()
            settle()
            if number > 0:
                times[name].append(time.perf_counter() - begin)
    return times


def times_faster(slow: list[float], fast: list[float]) -> float:
    """The median over the rounds of how many times faster the second was."""
    return median(a / b for a, b in zip(slow, fast, strict=True))


def ratio(baseline: Callable[[], object], ours: Callable[[], object], rounds: int = 9) -> tuple[float, float, float]:
    """Median seconds of both, and the median of ``baseline / ours`` over the rounds; above 1, ours is faster."""
    times = in_turns({"baseline": baseline, "ours": ours}, rounds)
    slow, fast = times.values()
    return median(slow), median(fast), times_faster(slow, fast)


def machine() -> str:
    """What it was measured on, in one line."""
    cpu = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    vector = torch.backends.cpu.get_cpu_capability()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{cpu[1] if cpu else 'CPU'}, {vector}"
    threads = f"{torch.get_num_threads()} threads"
    return f"{device}, {threads}, torch {torch.__version__}, Python {platform.python_version()}"


@contextmanager
def written(name: str) -> Iterator[None]:
    """What is printed within goes into RESULTS.md too, if all goes well."""
    printed = _Printed()
    with redirect_stdout(printed):
        yield
    _put(name, printed.getvalue())


class _Printed(io.StringIO):
    """Keeps what it shows."""

    def write(self, text: str) -> int:
        sys.__stdout__.write(text)  # type: ignore[union-attr]
        return super().write(text)


def write(name: str, text: str) -> None:
    """Print ``text``, and put it into RESULTS.md as the section of ``python -m benchmarks.NAME``."""
    print(text)
    _put(name, text)


def _put(name: str, text: str) -> None:
    title = f"## `python -m benchmarks.{name}`\n"
    content = RESULTS.read_text() if RESULTS.exists() else "# Results\n"
    head, *sections = re.split(r"(?m)^(?=## )", content)
    kept = [section.rstrip() + "\n" for section in sections if not section.startswith(title)]
    parts = sorted([*kept, f"{title}\n{text.strip()}\n"])
    RESULTS.write_text("\n".join([head.rstrip() + "\n", *parts]))

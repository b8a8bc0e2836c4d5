"""``python -m benchmarks.tracking``: what the files and W&B cost, in an epoch of ``benchmarks.epoch``.

Counted are the seconds inside of the tracker's calls, for a hundredth of an epoch is less than two epochs differ by.
What W&B does in a process of its own is in none of them; whole epochs in turns show it, as far as noise lets them.
The server is the stand-in of the tests, in a process of its own: in order, answering 500 to everything, or every answer
30 s late.
"""

import io
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.epoch import one_more, ours
from benchmarks.side_by_side import in_turns, machine, times_faster, write
from vitlab.tracking.console import Console
from vitlab.tracking.fanout import Fanout
from vitlab.tracking.records import Records
from vitlab.tracking.wandb import WandbTracker

_ROUNDS = 8
_MOODS = {"W&B online": (0, 0), "W&B online, which answers 500": (1, 0), "W&B online, 30 s late": (0, 30)}


def main() -> None:
    """Measure and write the table."""
    with tempfile.TemporaryDirectory() as folder, _server() as mood:
        trainer, path = ours(Path(folder)), Path(folder)
        console = Console(trainer.length, io.StringIO())
        (path / "offline").mkdir()
        (path / "online").mkdir()
        only_files = {
            "nothing": _Timed(None),
            "files and console": _Timed(Fanout(Records(path), console, [])),
        }
        lines = [f"{machine()}; vit_micro at 32 px, 2048 + 512 images; median of {_ROUNDS} rounds in turns", ""]
        lines += ["| tracking | s an epoch | inside of its calls | whole epochs against nothing |", "|---|---|---|---|"]
        offline = WandbTracker(path / "offline", {}, None, "tracking", print, mode="offline")
        with_offline = _Timed(Fanout(Records(path), console, [offline]))
        lines += _rows(trainer, only_files | {"files, console, W&B offline": with_offline}, mood)
        offline.finish({}, 0)
        online = WandbTracker(path / "online", {}, None, "tracking", print, mode="online", finish_timeout=5)
        assert online.url, "the stand-in took no run"
        of_each = {name: _Timed(Fanout(Records(path), console, [online])) for name in _MOODS}
        lines += _rows(trainer, {"nothing": _Timed(None)} | of_each, mood)
        online.finish({}, 0)
    write("tracking", "\n".join(lines))


def _rows(trainer: Any, trackers: dict[str, "_Timed"], mood: Any) -> list[str]:
    times = in_turns({name: _epoch(trainer, name, tracker, mood) for name, tracker in trackers.items()}, _ROUNDS)
    lines = []
    for name, took in times.items():
        share = median(trackers[name].epochs[1:]) / median(took)
        slower = times_faster(took, times["nothing"])
        lines.append(f"| {name} | {median(took):.2f} | {share:.2%} | {slower:.2f}x |")
    return lines


@contextmanager
def _server() -> Iterator[Any]:
    """The stand-in for W&B's server, which W&B here takes for the real one; yields its mood, to be set."""
    spawn = multiprocessing.get_context("spawn")
    mood, address = spawn.Array("i", [0, 0]), spawn.Queue()
    process = spawn.Process(target=_serve, args=(mood, address), daemon=True)
    process.start()
    os.environ["WANDB_BASE_URL"], os.environ["WANDB_API_KEY"] = address.get(timeout=60)
    yield mood
    process.terminate()


def _serve(mood: Any, address: Any) -> None:
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
    from wandb_server import KEY, WandbServer

    with WandbServer() as server:
        address.put((server.url, KEY))
        while True:
            server.failing, server.stall = bool(mood[0]), mood[1]
            time.sleep(0.01)


class _Timed:
    """Hands on to a tracker, or to none, and counts the seconds."""

    def __init__(self, tracker: Fanout | None) -> None:
        self._tracker = tracker
        self.epochs: list[float] = []

    def log(self, row: Mapping[str, float]) -> None:
        self._count("log", row)

    def progress(self, step: int) -> None:
        self._count("progress", step)

    def say(self, message: str) -> None:
        self._count("say", message)

    def _count(self, method: str, given: Any) -> None:
        begin = time.perf_counter()
        if self._tracker is not None:
            getattr(self._tracker, method)(given)
        self.epochs[-1] += time.perf_counter() - begin


def _epoch(trainer: Any, name: str, tracker: _Timed, mood: Any) -> Callable[[], None]:
    def epoch() -> None:
        mood[:] = _MOODS.get(name, (0, 0))
        tracker.epochs.append(0.0)
        one_more(trainer, tracker)

    return epoch


if __name__ == "__main__":
    main()

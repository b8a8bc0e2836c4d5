"""``python -m benchmarks.scale``: how time and memory grow, with points measured and an exponent fitted.

An exponent of 1 is linear. Beside those of a training step stand those of its FLOPs, which are the algorithm's own.
``python -m benchmarks.scale tokens`` measures one axis of: tokens, width, depth, batch, images, planner, manifest,
compare.
"""

import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from PIL import Image
from torch.nn import functional as F

from benchmarks import peers
from benchmarks.memory import HANDS_BACK, height_of, held_now
from benchmarks.peers import Size
from benchmarks.side_by_side import machine, write
from vitlab.analysis.cost import flops_per_image
from vitlab.comparison import comparing, report, tables, words
from vitlab.comparison.loading import load
from vitlab.config.compose import conf_dir, register_resolvers
from vitlab.data.image_data import ImageData
from vitlab.data.paths import Paths
from vitlab.data.source import Files, Pixels, Request
from vitlab.sweeps.legality import Legality
from vitlab.sweeps.manifest import Manifest, new_job, read
from vitlab.sweeps.plan import plan, show

Point = dict[str, float]
_ROUNDS = 5
_STEPS: dict[str, list[tuple[Size, int]]] = {  # model and batch, along each axis
    "tokens": [(Size("", 32 * 2**n, 4, 192, 2, 3, 10), 4) for n in range(4)],
    "width": [(Size("", 32, 4, 64 * 2**n, 4, 4, 10), 16) for n in range(5)],
    "depth": [(Size("", 32, 4, 128, 2**n, 4, 10), 16) for n in range(6)],
    "batch": [(Size("", 32, 4, 128, 4, 4, 10), 8 * 4**n) for n in range(4)],
}
_REAL_FILES = 1000
_PEAK = "peak MiB"


def main() -> None:
    """Measure all axes, each point in a process of its own, and write the tables."""
    if len(sys.argv) == 3:
        print(json.dumps(_MEASURED[sys.argv[1]](int(sys.argv[2]))))
        return
    chosen = sys.argv[1:] or list(_AXES)
    if unknown := set(chosen) - set(_AXES):
        sys.exit(f"{', '.join(sorted(unknown))}: there is no such axis (there are: {', '.join(_AXES)})")
    parts = [f"{machine()}; every point in a process of its own; exponents are fitted to the upper three points"]
    for axis in chosen:
        points = [_point(axis, at) for at in range(len(_AXES[axis]))]
        parts.append(_table(axis, points))
    text = "\n\n".join(parts)
    print(text) if sys.argv[1:] else write("scale", text)


def _point(axis: str, at: int) -> Point:
    """Time as it is, memory with an allocator that hands back what is freed, which takes time."""
    point = _of_a_process(axis, at, {})
    return {**point, _PEAK: _of_a_process(axis, at, HANDS_BACK)[_PEAK]} if axis in _STEPS else point


def _of_a_process(axis: str, at: int, environment: dict[str, str]) -> Point:
    command = [sys.executable, "-m", "benchmarks.scale", axis, str(at)]
    point: Point = json.loads(subprocess.check_output(command, env={**os.environ, **environment}).splitlines()[-1])
    return point


def _table(axis: str, points: Sequence[Point]) -> str:
    """One row a point, and the slopes on double logarithmic paper below them."""
    names = list(points[0])
    lines = [f"### {_TITLES[axis]}", "", f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    lines += [f"| {' | '.join(_cell(point[name]) for name in names)} |" for point in points]
    slopes = [f"**{_exponent([p[names[0]] for p in points], [p[name] for p in points]):.2f}**" for name in names[1:]]
    return "\n".join([*lines, f"| exponent | {' | '.join(slopes)} |"])


def _cell(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def _exponent(x: Sequence[float], y: Sequence[float]) -> float:
    """Of ``y ~ x^e``, least squares over the logarithms of the upper points: below, what is constant hides it."""
    upper = slice(-3, None)
    return float(np.polyfit(np.log(x[upper]), np.log(np.maximum(y[upper], 1e-9)), 1)[0])


def _step(axis: str) -> Callable[[int], Point]:
    def measured(at: int) -> Point:
        size, batch = _STEPS[axis][at]
        model = peers.vitlab(size).train()
        optimizer = torch.optim.AdamW(model.parameters(), fused=True)
        images, labels = torch.randn(batch, 3, size.image_size, size.image_size), torch.zeros(batch, dtype=torch.int64)

        def step() -> None:
            F.cross_entropy(model(images), labels).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        before = held_now()
        step()
        peak = height_of() - before
        tokens = (size.image_size // size.patch_size) ** 2
        along = {"tokens": tokens, "width": size.embed_dim, "depth": size.depth, "batch": batch}[axis]
        flops = 3 * batch * flops_per_image(model, 3, size.image_size)
        return {axis: along, "GFLOP a step": flops / 1e9, "ms a step": 1e3 * _median(step), _PEAK: peak / 2**20}

    return measured


def _median(work: Callable[[], object]) -> float:
    return median(_seconds(work) for _ in range(_ROUNDS))


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


class _Repeated:
    """A folder of a thousand images, listed as often as it takes."""

    def __init__(self, count: int) -> None:
        self.count = count

    def read(self, request: Request) -> tuple[dict[str, Pixels | Files], tuple[str, ...]]:
        """``count`` images of ten classes."""
        assert request.root is not None
        paths = Paths(request.root)
        names = [f"{number % 10}/image_{number:08d}.png" for number in range(_REAL_FILES)]
        for _ in range(self.count // _REAL_FILES):
            paths.extend(names)
        return {"train": Files(paths, torch.arange(self.count) % 10)}, tuple("0123456789")


def _images(at: int) -> Point:
    count = _AXES["images"][at]
    with tempfile.TemporaryDirectory() as folder:
        for number in range(_REAL_FILES):
            path = Path(folder, f"{number % 10}/image_{number:08d}.png")
            path.parent.mkdir(exist_ok=True)
            Image.new("RGB", (32, 32), (number % 256, 0, 0)).save(path)
        before = held_now()
        begin = time.perf_counter()
        data = ImageData(_Repeated(count), 32, 3, 10, [0.5] * 3, [0.5] * 3, 4, True, root=folder, num_workers=2)
        opened = time.perf_counter() - begin
        hashed = _seconds(data.hashes)
        batches = data.batches("train", batch_size=100, device=torch.device("cpu"), seed=0, shuffle=True)
        stream = batches.epoch(0)
        first = _seconds(lambda: next(stream))
        later = _seconds(lambda: [next(stream) for _ in range(5)]) / 5
        peak = height_of() - before
    return {
        "images": count,
        "s to open and split": opened,
        "s to hash": hashed,
        "s to the first batch": first,
        "ms a later batch": 1e3 * later,
        _PEAK: peak / 2**20,
    }


def _planner(at: int) -> Point:
    count = _AXES["planner"][at]
    jobs = [[f"model.depth={2 + seed % 5}", f"seed={seed}"] for seed in range(count)]
    register_resolvers()
    before = held_now()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"), redirect_stdout(io.StringIO()):
        legality = Legality(GlobalHydra.instance().config_loader(), "train")
        seconds = _seconds(lambda: show(list(plan(jobs, legality)), 2))
    return {"jobs": count, "s to plan": seconds, _PEAK: (height_of() - before) / 2**20}


def _manifest(at: int) -> Point:
    """All that is written of a sweep's jobs from its begin to its end: each starts and ends once."""
    count = _AXES["manifest"][at]
    jobs = [new_job(number, ["model.depth=4", f"seed={number}"], [f"seed={number}"]) for number in range(count)]

    def sweep(manifest: Manifest) -> None:
        manifest.save()
        for state in ("running", "done"):
            for job in manifest.jobs:
                job.state = state
                manifest.note(job)
        read(manifest.folder)
        manifest.save()

    with tempfile.TemporaryDirectory() as folder:
        return {"jobs": count, "s to note all": _seconds(lambda: sweep(Manifest(Path(folder), jobs)))}


def _compare(at: int) -> Point:
    count = _AXES["compare"][at]
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for number in range(count):
            _finished_run(folder / str(number), depth=4 + number % 5, seed=number // 5, accuracy=rng.uniform(0.5, 0.6))
        before = held_now()
        begin = time.perf_counter()
        comparison = comparing.compare(load([folder]))
        loaded = time.perf_counter() - begin
        with redirect_stdout(io.StringIO()):
            told = _seconds(lambda: tables.show(comparison, words.sentences(comparison)))
        written = _seconds(lambda: report.write(comparison, folder / "comparison"))
        page = (folder / "comparison" / "comparison.html").stat().st_size
    peak = (height_of() - before) / 2**20
    sizes = {_PEAK: peak, "page MB": page / 1e6}
    return {"runs": count, "s to read": loaded, "s to tell": told, "s to draw": written, **sizes}


def _finished_run(folder: Path, depth: int, seed: int, accuracy: float) -> None:
    folder.mkdir()
    settings: dict[str, Any] = {"model": {"depth": depth, "embed_dim": 64}, "trainer": {"epochs": 20}, "seed": seed}
    (folder / "config.yaml").write_text(json.dumps(settings))
    (folder / "overrides.yaml").write_text(json.dumps([f"model.depth={depth}", f"seed={seed}"]))
    summary = {"status": "done", "val_accuracy": accuracy, "test_accuracy": accuracy, "parameters": 1000 * depth}
    (folder / "summary.json").write_text(json.dumps(summary))
    rows = [{"step": 10 * n, "epoch": n, "val/accuracy": accuracy * n / 20, "val/loss": 1.0} for n in range(1, 21)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


_AXES: dict[str, Sequence[Any]] = {
    **_STEPS,
    "images": [10**n for n in range(3, 8)],
    "planner": [10**n for n in range(1, 5)],
    "manifest": [10**n for n in range(1, 5)],
    "compare": [10**n for n in range(1, 5)],
}
_TITLES = {
    "tokens": "Tokens (width 192, depth 2, batch 4)",
    "width": "Width (64 tokens, depth 4, batch 16)",
    "depth": "Depth (64 tokens, width 128, batch 16)",
    "batch": "Batch (64 tokens, width 128, depth 4)",
    "images": f"Images of a stream ({_REAL_FILES} files of 32 px, listed again and again; batch 100, 2 workers)",
    "planner": "Jobs of a sweep: `sweep.plan=true` (five depths, the rest seeds)",
    "manifest": "Jobs of a sweep: what is noted of them",
    "compare": "Runs compared (five depths, the rest seeds; 20 rows each)",
}
_MEASURED: dict[str, Callable[[int], Point]] = {
    **{axis: _step(axis) for axis in _STEPS},
    "images": _images,
    "planner": _planner,
    "manifest": _manifest,
    "compare": _compare,
}


if __name__ == "__main__":
    main()

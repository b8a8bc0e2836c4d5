"""``python -m benchmarks.ladder data=image_folder_32 data.root=PATH``: the rungs of docs/ladder.md, trained.

First a minute of throughput: a few steps of every recipe as it stands. Then each rung is trained with three seeds, by
the command that anyone would type, into ``outputs/ladder``; what is done already is not done again, and what was
stopped goes on. With a GPU that is the recipe. On a CPU it is a small form of it: about half a million parameters,
patches of twice the size (a quarter of the tokens), 12 epochs and only as much augmentation as they can use, 5,000
training images (500 of each class), 2,000 others to choose the weights by, the whole test set, as many runs side by
side as there are cores, with a thread each. What is typed goes to all runs. Minutes leave out what the first epoch
takes longer than the second: compiling, as in speed runs.

``ONLY=sprint_cifar10,peak_cifar10`` trains no others, ``SEEDS=5`` takes so many.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from benchmarks.side_by_side import machine, write
from vitlab.comparison.statistics import Difference, difference, interval
from vitlab.config.compose import conf_dir, register_resolvers
from vitlab.sweeps.forecast import forecast

FOLDER = Path("outputs/ladder")
_SPLITS = {"train": slice(0, 500), "val": slice(500, 700)}  # images of each class
_PASSES = 3  # forward passes that a training step costs

_ALL = ("trainer.device=cpu", "trainer.epochs=12", "trainer.batch_size=64", "trainer.validate_every=1 epoch")
_DEEP = ("model.embed_dim=96", "model.depth=4", "model.num_heads=3", "model.patch_size=8", *_ALL)
_WIDE = ("model.embed_dim=160", "model.depth=2", "model.num_heads=5", "model.patch_size=8", *_ALL)
_PEAK = ("model.embed_dim=96", "model.depth=4", "model.num_heads=3", "model.patch_size=4", *_ALL)
_SHORT = ("trainer.ema_decay=0.98",)  # of fewer steps
_LIGHT = (*_DEEP, "augment=light")

_SPRINT = (*_WIDE, *_SHORT)


@dataclass(frozen=True)
class Rung:
    """One recipe of the ladder, or one that was tried and did not help.

    Args:
        experiment: its name.
        small: what makes it small enough for a CPU.
        published: the figure that it answers, in percent, and whose it is.
        but: what differs from the recipe, for one that was tried beside it.
    """

    experiment: str
    small: tuple[str, ...]
    published: str = ""
    but: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of its folder and its row."""
        return " ".join((self.experiment, *self.but))


LADDER = (
    Rung("seed_cifar10", _DEEP, "71.77 (its authors' log)"),
    Rung("modern_cifar10", _LIGHT, "91.38 (ViT-Lite-7/4, 200 epochs)"),
    Rung("depthwise_cifar10", _LIGHT, "94.72 (ViT-Ti at 224 px, 100 epochs)"),
    Rung("stem_cifar10", _LIGHT, "93.83 (CCT-7/3x2, 200 epochs)"),
    Rung("sprint_cifar10", _SPRINT, "93.37 (a stem and two blocks, 50 epochs)"),
    Rung("peak_cifar10", (*_PEAK, *_SHORT, "augment=light"), "96.53 (CCT-7/3x1, 300 epochs)"),
)
TRIED = (
    Rung("modern_cifar10", _DEEP, but=("augment=strong",)),
    Rung("sprint_cifar10", _SPRINT, but=("optimizer=adamw", "optimizer.lr=1e-3")),
    Rung("sprint_cifar10", _SPRINT, but=("model/position=none",)),
    Rung("sprint_cifar10", _SPRINT, but=("model.attention.qk_norm=false",)),
)


def main() -> None:
    """Measure, train what is not trained yet, and write the tables."""
    typed = sys.argv[1:]
    on_gpu = torch.cuda.is_available()
    lines = [f"{machine()}; {' '.join(word for word in typed if 'root' not in word)}", "", *_throughput(typed)]
    wanted = os.environ.get("ONLY", "").split(",")
    rungs = [rung for rung in (*LADDER, *TRIED) if wanted == [""] or rung.name in wanted or rung.experiment in wanted]
    if not on_gpu:
        typed = [word for word in typed if not word.startswith("data.root=")] + [f"data.root={_few_images(typed)}"]
    seeds = range(int(os.environ.get("SEEDS", "3")))
    jobs = [(rung, seed) for rung in rungs for seed in seeds]
    with ThreadPoolExecutor(1 if on_gpu else os.cpu_count()) as pool:
        for _ in pool.map(lambda job: _train(*job, typed, on_gpu), jobs):
            pass
    write("ladder", "\n".join([*lines, "", *_table(rungs)]))


def _throughput(typed: Sequence[str]) -> Iterator[str]:
    """The recipes as they stand: images a second, share of the speed of one large product, and hours in all."""
    peak = _peak()
    yield f"The recipes as they stand, from a few steps of each; one large product runs at {peak / 1e12:.2f} TFLOP/s."
    yield ""
    yield "| recipe | parameters | FLOPs of an image | images/s | MFU | epochs | the whole would take |"
    yield "|---|---|---|---|---|---|---|"
    for rung in LADDER:
        few = () if torch.cuda.is_available() else ("trainer.batch_size=32", "trainer.eval_batch_size=32")
        cfg = _compose(f"experiment={rung.experiment}", "tracker=none", *few, *typed)
        cost = forecast(cfg)
        rate = cfg.trainer.batch_size / cost.seconds_per_step
        share = _PASSES * cost.flops_per_image * rate / peak
        sizes = f"{cost.parameters / 1e6:.2f} M | {cost.flops_per_image / 1e6:,.0f} M"
        hours = f"{cfg.trainer.epochs} | {cost.seconds / 3600:.1f} h"
        yield f"| `{rung.experiment}` | {sizes} | {rate:,.0f} | {share:.0%} | {hours} |"


def _compose(*overrides: str) -> DictConfig:
    register_resolvers()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("train", list(overrides))


def _peak() -> float:
    """FLOPs a second of one large matrix product on the best device there is, in the best of five."""
    on_gpu = torch.cuda.is_available()
    size, dtype = (8192, torch.bfloat16) if on_gpu else (2048, torch.float32)
    matrix = torch.randn(size, size, device="cuda" if on_gpu else "cpu", dtype=dtype)
    times = []
    for _ in range(6):
        begun = time.perf_counter()
        (matrix @ matrix).sum().item()
        times.append(time.perf_counter() - begun)
    return 2 * size**3 / min(times[1:])


def _few_images(typed: Sequence[str]) -> Path:
    """A folder with links to some of the training images and to all of the test."""
    root = next((word.partition("=")[2] for word in typed if word.startswith("data.root=")), None)
    if root is None:
        sys.exit("On a CPU the ladder is trained on a part of a folder of images: data=image_folder_32 data.root=PATH")
    source, few = Path(root).expanduser().resolve(), FOLDER / "images"
    for folder in sorted((source / "train").iterdir()):
        images = sorted(folder.iterdir())
        for split, part in _SPLITS.items():
            (few / split / folder.name).mkdir(parents=True, exist_ok=True)
            for image in images[part]:
                link = few / split / folder.name / image.name
                if not link.exists():
                    link.symlink_to(image)
    if not (few / "test").exists():
        (few / "test").symlink_to(source / "test")
    return few


def _folder(rung: Rung, seed: int) -> Path:
    return FOLDER / rung.name.replace(" ", "_").replace("/", ".").replace("=", "-") / f"seed-{seed}"


def _summary(folder: Path) -> dict[str, float]:
    path = folder / "summary.json"
    summary: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}
    return summary


def _seconds(folder: Path) -> float:
    """Of a run, less what it takes until the work runs at its speed."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    validated = [row["seconds"] for row in rows if "val/accuracy" in row]
    warmup = 2 * validated[0] - validated[1] if len(validated) > 1 else 0.0
    return float(_summary(folder)["seconds"] - max(0.0, warmup))


def _train(rung: Rung, seed: int, typed: Sequence[str], on_gpu: bool) -> None:
    """One run with what is typed, unless it is there."""
    folder = _folder(rung, seed)
    if _summary(folder).get("status") == "done":
        return
    new = [f"experiment={rung.experiment}", "tracker=none", *(() if on_gpu else rung.small), *rung.but, *typed]
    new.append(f"seed={seed}")
    words = [f"resume={folder}"] if (folder / "checkpoints/last.pt").exists() else [*new, f"hydra.run.dir={folder}"]
    print("vitlab.train", *words, file=sys.stderr)
    threads = {} if on_gpu else {"OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, "-m", "vitlab.train", *words], env={**os.environ, **threads}, check=True, stdout=sys.stderr
    )


def _table(rungs: Sequence[Rung]) -> Iterator[str]:
    """What came out: of the ladder each rung beside the one before, of the rest each beside its recipe."""
    found = {rung.name: _accuracies(rung) for rung in rungs}
    yield "| recipe | parameters | epochs | minutes | val, % | test, % | ahead of that above, points | published, % |"
    yield "|---|---|---|---|---|---|---|---|"
    before: Mapping[int, float] = {}
    for rung in (rung for rung in LADDER if rung in rungs):
        yield _row(rung, _ahead(found[rung.name], before), rung.published)
        before = found[rung.name]
    if any(rung.experiment == "sprint_cifar10" for rung in rungs):
        yield ""
        yield f"`sprint_cifar10` with the mean over an image and its mirror image: {_spread(_mirrored())} %."
    if any(rung in rungs for rung in TRIED):
        yield ""
        yield "| tried | parameters | epochs | minutes | val, % | test, % | ahead of the recipe, points |"
        yield "|---|---|---|---|---|---|---|"
    for rung in (rung for rung in TRIED if rung in rungs):
        yield _row(rung, _ahead(found[rung.name], _accuracies(Rung(rung.experiment, ()))))


def _accuracies(rung: Rung, split: str = "test") -> dict[int, float]:
    """In percent, by seed."""
    runs = {int(path.name.removeprefix("seed-")): _summary(path) for path in _folder(rung, 0).parent.glob("seed-*")}
    return {seed: 100 * run[f"{split}_accuracy"] for seed, run in runs.items() if run.get("status") == "done"}


def _mirrored() -> dict[int, float]:
    """Test accuracy of the sprint when each image is seen in the mirror too, by seed."""
    found = {}
    for folder in (FOLDER / "sprint_cifar10").glob("seed-*"):
        subprocess.run(
            [sys.executable, "-m", "vitlab.evaluate", f"run={folder}", "mirror=true"], check=True, stdout=sys.stderr
        )
        evaluation = json.loads((folder / "evaluation/test/evaluation.json").read_text())
        found[int(folder.name.removeprefix("seed-"))] = 100 * evaluation["mirrored"]["accuracy"]
    return found


def _row(rung: Rung, *more: str) -> str:
    runs = [_summary(path) for path in _folder(rung, 0).parent.glob("seed-*")]
    minutes = mean(_seconds(path) for path in _folder(rung, 0).parent.glob("seed-*")) / 60
    figures = [f"{runs[0]['parameters'] / 1e6:.2f} M", f"{runs[0]['epoch']:.0f}", f"{minutes:.1f}"]
    figures += [_spread(_accuracies(rung, split)) for split in ("val", "test")]
    return f"| {' '.join(f'`{word}`' for word in rung.name.split())} | {' | '.join((*figures, *more))} |"


def _spread(values: Mapping[int, float]) -> str:
    found = interval(list(values.values()))
    return f"{found.mean:.2f} ± {found.half:.2f}"


def _ahead(ours: Mapping[int, float], theirs: Mapping[int, float]) -> str:
    if not theirs:
        return ""
    found: Difference = difference(ours, theirs)
    return f"{found.interval.mean:+.2f} ± {found.interval.half:.2f}{'' if found.is_real else ' (noise)'}"


if __name__ == "__main__":
    main()

"""``python -m benchmarks.ladder data=image_folder_32 data.root=PATH``: the rungs of docs/ladder.md, trained.

First a minute of throughput: a few steps of every recipe as it stands. Then each rung is trained with three seeds, by
the command that anyone would type, into ``outputs/ladder``; what is done already is not done again, and what was
stopped goes on. With a GPU that is the recipe. On a CPU it is a small form of it: about half a million parameters,
patches of twice the size (a quarter of the tokens), 12 epochs and only as much augmentation as they can use, 5,000
training images (500 of each class), 2,000 others to choose the weights by, the whole test set, as many runs side by
side as there are cores, with a thread each. What is typed goes to all runs. Minutes leave out what the first epoch
takes longer than the second: compiling, as in speed runs.

``ONLY=sprint_cifar10,peak_cifar10`` trains no others, ``SEEDS=5`` takes so many. The tables are of all that is trained.
Runs that were begun with other words are refused: move ``outputs/ladder`` away.
"""

import json
import os
import re
import shutil
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
from hydra.errors import HydraException
from omegaconf import DictConfig

from benchmarks.side_by_side import machine, write
from vitlab.comparison.statistics import difference, interval
from vitlab.config.command import explain
from vitlab.config.compose import conf_dir, register_resolvers
from vitlab.config.saved import load_overrides
from vitlab.engine.stop import STOP_AT_EOF
from vitlab.errors import VitlabError
from vitlab.runs import RunFolder
from vitlab.sweeps.forecast import forecast

FOLDER = Path("outputs/ladder")
_SPLITS = {"train": slice(0, 500), "val": slice(500, 700)}  # images of each class
_PASSES = 3  # forward passes that a training step costs

_SMALL = ("trainer.device=cpu", "trainer.epochs=12", "trainer.batch_size=64", "trainer.validate_every=1 epoch")
_DEEP = ("model.embed_dim=96", "model.depth=4", "model.num_heads=3", *_SMALL)
_WIDE = ("model.embed_dim=160", "model.depth=2", "model.num_heads=5", "trainer.ema_decay=0.98", *_SMALL)


@dataclass(frozen=True)
class Rung:
    """One recipe of the ladder, or one that was tried beside it.

    Args:
        experiment: its name.
        small: what makes it small enough for a CPU.
        but: what differs from the recipe, for one that was tried.
    """

    experiment: str
    small: tuple[str, ...] = ()
    but: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of its row, and of its folder."""
        return " ".join((self.experiment, *self.but))

    def runs(self) -> list[Path]:
        """The folders of its finished runs."""
        return [path for path in sorted(self.folder.glob("seed-*")) if _summary(path).get("status") == "done"]

    @property
    def folder(self) -> Path:
        """Where its runs lie."""
        return FOLDER / re.sub(r"[ /=]", "-", self.name)


LADDER = (
    Rung("seed_cifar10", ("model.patch_size=8", *_DEEP)),
    Rung("modern_cifar10", ("model.patch_size=8", "augment=light", *_DEEP)),
    Rung("depthwise_cifar10", ("model.patch_size=8", "augment=light", *_DEEP)),
    Rung("stem_cifar10", ("model.patch_size=8", "augment=light", *_DEEP)),
    Rung("sprint_cifar10", ("model.patch_size=8", *_WIDE)),
    Rung("peak_cifar10", ("model.patch_size=4", "augment=light", "trainer.ema_decay=0.98", *_DEEP)),
)
TRIED = (
    Rung("sprint_cifar10", LADDER[4].small, ("optimizer=adamw", "optimizer.lr=1e-3")),
    Rung("sprint_cifar10", LADDER[4].small, ("augment=strong",)),
    Rung("sprint_cifar10", LADDER[4].small, ("model/position=none",)),
    Rung("sprint_cifar10", LADDER[4].small, ("model.attention.qk_norm=false",)),
)
# What the small form leaves out; with a GPU it is the recipe itself.
TRIED_SMALL = (Rung("modern_cifar10", LADDER[0].small, ("augment=strong",)),)


def main() -> None:
    """Measure, train what is not trained yet, and write the tables of all that is."""
    typed = sys.argv[1:]
    if any(word.startswith("-") for word in typed):
        sys.exit(__doc__)
    on_gpu = torch.cuda.is_available()
    tried = TRIED if on_gpu else (*TRIED_SMALL, *TRIED)
    rungs, seeds = _wanted((*LADDER, *tried)), os.environ.get("SEEDS", "3")
    if not seeds.isdecimal() or int(seeds) < 1:
        sys.exit(f"SEEDS={seeds} is not a whole number from 1 up")
    trained_with = typed
    if not on_gpu:
        trained_with = [word for word in typed if not word.startswith("data.root=")]
        trained_with.append(f"data.root={_few_images(typed)}")
    jobs = [Job(rung, seed, tuple(trained_with), on_gpu) for rung in rungs for seed in range(int(seeds))]
    for job in jobs:
        job.refuse_other_words()
    told = " ".join(word for word in typed if "root" not in word)
    lines = [f"{machine()}; {told}{'' if on_gpu else '; the trainings had a thread each'}", "", *_throughput(typed)]
    with ThreadPoolExecutor(1 if on_gpu else os.cpu_count()) as pool:
        ended = list(pool.map(Job.train, jobs))
    if False in ended:
        sys.exit(f"{ended.count(False)} of {len(ended)} runs failed, see above; nothing is written")
    write("ladder", "\n".join([*lines, "", *_table(tried)]))


def _wanted(rungs: Sequence[Rung]) -> list[Rung]:
    """Those of ONLY, or all."""
    names = [name for name in os.environ.get("ONLY", "").split(",") if name]
    if unknown := set(names) - {rung.name for rung in rungs}:
        sys.exit(f"ONLY={','.join(unknown)} is none of: {', '.join(rung.name for rung in rungs)}")
    return [rung for rung in rungs if not names or rung.name in names]


def _throughput(typed: Sequence[str]) -> Iterator[str]:
    """The recipes as they stand: images a second, share of the speed of one large product, and hours in all."""
    few = () if torch.cuda.is_available() else ("trainer.batch_size=32", "trainer.eval_batch_size=32")
    peak, measured = _peak(), []
    for rung in LADDER:
        cfg = _compose(f"experiment={rung.experiment}", "tracker=none", *few, *typed)
        measured.append((rung, cfg, forecast(cfg)))
        peak = max(peak, _peak())  # again beside each recipe: the speed of a shared machine changes
    batches = "" if torch.cuda.is_available() else ", in batches of 32"
    yield f"The recipes as they stand, from a few steps of each{batches}; one large product runs at"
    yield f"{peak / 1e12:.2f} TFLOP/s. MFU counts all blocks of each image, also those that drop path leaves out."
    yield ""
    yield "| recipe | parameters | FLOPs of an image | images/s | MFU | epochs | the whole would take |"
    yield "|---|---|---|---|---|---|---|"
    for rung, cfg, cost in measured:
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
    root = next((word.partition("=")[2].strip("'\"") for word in typed if word.startswith("data.root=")), None)
    if root is None:
        sys.exit("On a CPU the ladder is trained on a part of a folder of images: data=image_folder_32 data.root=PATH")
    source, few = Path(root).expanduser().resolve(), FOLDER / "images"
    if not (source / "train").is_dir() or not (source / "test").is_dir():
        sys.exit(f"data.root={root} has no train/ and test/ with a folder for each class")
    shutil.rmtree(few, ignore_errors=True)  # of another time, perhaps with other images
    for folder in sorted((source / "train").iterdir()):
        images = sorted(folder.iterdir())
        if len(images) < _SPLITS["val"].stop:
            sys.exit(f"{folder} has {len(images)} images, and {_SPLITS['val'].stop} are needed")
        for split, part in _SPLITS.items():
            (few / split / folder.name).mkdir(parents=True)
            for image in images[part]:
                (few / split / folder.name / image.name).symlink_to(image)
    (few / "test").symlink_to(source / "test")
    return few


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


@dataclass(frozen=True)
class Job:
    """One run of a rung.

    Args:
        rung: which.
        seed: of the run.
        typed: what else is typed for all runs.
        on_gpu: whether it is the recipe itself, and not its small form.
    """

    rung: Rung
    seed: int
    typed: tuple[str, ...]
    on_gpu: bool

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self.rung.folder / f"seed-{self.seed}"

    @property
    def words(self) -> list[str]:
        """What anyone would type for it."""
        small = () if self.on_gpu else self.rung.small
        recipe = [f"experiment={self.rung.experiment}", "tracker=none", *small, *self.rung.but]
        return [*recipe, *self.typed, f"seed={self.seed}"]

    def refuse_other_words(self) -> None:
        """End here if it was begun with other words: its figures would not be those of this table."""
        began = load_overrides(RunFolder(self.folder))
        if began and sorted(began) != sorted(self.words):
            other = " ".join(sorted({*began} ^ {*self.words}))
            sys.exit(f"{self.folder} was begun with other words ({other}); move {FOLDER} away")

    def train(self) -> bool:
        """Train it, unless it is there; whether it is."""
        if _summary(self.folder).get("status") == "done":
            return True
        begun = (self.folder / "config.yaml").exists()
        words = [f"resume={self.folder}"] if begun else [*self.words, f"hydra.run.dir={self.folder}"]
        print("vitlab.train", *words, file=sys.stderr)
        environment = os.environ | {STOP_AT_EOF: "1"} | ({} if self.on_gpu else {"OMP_NUM_THREADS": "1"})
        command = [sys.executable, "-m", "vitlab.train", *words]
        # A pipe that nothing is written to: it ends when this process does, and the run saves and ends with it.
        with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=sys.stderr) as process:
            return process.wait() == 0


def _table(tried: Sequence[Rung]) -> Iterator[str]:
    """What came out: of the ladder each rung beside the one before, of the rest each beside its recipe."""
    yield "| recipe | parameters | epochs | minutes | val, % | test, % | ahead of that above, points |"
    yield "|---|---|---|---|---|---|---|"
    before: dict[int, float] = {}
    for rung in (rung for rung in LADDER if rung.runs()):
        yield _row(rung, before)
        before = _accuracies(rung)
    sprint = LADDER[4]
    if sprint.runs():
        yield ""
        yield f"`{sprint.name}` with the mean over an image and its mirror image: {_spread(_mirrored(sprint))} %."
    yield ""
    yield "| tried | parameters | epochs | minutes | val, % | test, % | ahead of its recipe, points |"
    yield "|---|---|---|---|---|---|---|"
    for rung in (rung for rung in tried if rung.runs()):
        yield _row(rung, _accuracies(Rung(rung.experiment)))


def _row(rung: Rung, others: Mapping[int, float]) -> str:
    summaries = [_summary(path) for path in rung.runs()]
    name = " ".join(f"`{word}`" for word in rung.name.split())
    figures = [name, f"{summaries[0]['parameters'] / 1e6:.2f} M", f"{summaries[0]['epoch']:.0f}"]
    figures += [f"{mean(map(_seconds, rung.runs())) / 60:.1f}", _spread(_accuracies(rung, "val"))]
    return f"| {' | '.join([*figures, _spread(_accuracies(rung)), _ahead(_accuracies(rung), others)])} |"


def _accuracies(rung: Rung, split: str = "test") -> dict[int, float]:
    """In percent, by seed."""
    return {_seed(path): 100 * _summary(path)[f"{split}_accuracy"] for path in rung.runs()}


def _mirrored(rung: Rung) -> dict[int, float]:
    """Test accuracy when each image is seen in the mirror too, by seed."""
    found = {}
    for folder in rung.runs():
        evaluation = folder / "evaluation/test/evaluation.json"
        if not evaluation.exists() or "mirrored" not in json.loads(evaluation.read_text()):
            command = [sys.executable, "-m", "vitlab.evaluate", f"run={folder}", "mirror=true"]
            if subprocess.run(command, check=False, stdout=sys.stderr).returncode != 0:
                continue
        found[_seed(folder)] = 100 * json.loads(evaluation.read_text())["mirrored"]["accuracy"]
    return found


def _seed(folder: Path) -> int:
    return int(folder.name.removeprefix("seed-"))


def _spread(values: Mapping[int, float]) -> str:
    found = interval(list(values.values()))
    return f"{found.mean:.2f}" + (f" ± {found.half:.2f}" if len(values) > 1 else "")


def _ahead(ours: Mapping[int, float], theirs: Mapping[int, float]) -> str:
    if not theirs or len(ours) < 2:
        return ""
    found = difference(ours, theirs)
    return f"{found.interval.mean:+.2f} ± {found.interval.half:.2f}{'' if found.is_real else ' (noise)'}"


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("stopped; started again, it goes on")
    except (VitlabError, HydraException) as error:
        sys.exit(explain(error))

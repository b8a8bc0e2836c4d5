"""``python -m benchmarks.epoch``: a whole epoch as users run it: read, augment, train, validate, log, save. In turns.

``vit_micro`` on 2,048 images of 32 px in memory, 512 more to validate, batch 128, light augmentation, AdamW. The peers'
loops are written after what their reference scripts do in an epoch, with their own models, transforms and loaders:
timm's ``train.py`` reads the loss when it logs, torchvision's reference and a plain script after every step.
"""

import csv
import io
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from PIL import Image
from timm.data.transforms_factory import create_transform
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from benchmarks import peers
from benchmarks.peers import Size
from benchmarks.side_by_side import in_turns, machine, times_faster, write
from vitlab.assembly import assemble
from vitlab.config.compose import conf_dir, register_resolvers
from vitlab.data.source import Files, Pixels, Request, pixels
from vitlab.duration import RunLength
from vitlab.engine.contracts import Tracker
from vitlab.engine.stop import GracefulStop
from vitlab.engine.trainer import Trainer
from vitlab.tracking.console import Console
from vitlab.tracking.fanout import Fanout
from vitlab.tracking.records import Records

_TRAIN, _VAL, _BATCH, _ROUNDS, _WORKERS = 2048, 512, 128, 8, 2
_MICRO = Size("vit_micro at 32 px", 32, 4, 64, 4, 4, 10)
_MEAN, _STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)
_BYTES = np.random.default_rng(0).integers(0, 256, (_TRAIN + _VAL, 32, 32, 3), dtype=np.uint8)
_LABELS = np.random.default_rng(1).integers(0, 10, _TRAIN + _VAL)


def main() -> None:
    """Measure and write the table."""
    with tempfile.TemporaryDirectory() as folder:
        contestants = {"vitlab": _vitlab(Path(folder)), **{name: loop.epoch for name, loop in _loops(folder).items()}}
        times = in_turns(contestants, _ROUNDS)
    lines = [f"{machine()}; {peers.versions()}; {_WORKERS} workers for the peers' loaders", ""]
    fused = "vitlab's AdamW is fused, the peers' is as their scripts make it"
    lines += [
        f"{_MICRO.name}, {_TRAIN} + {_VAL} images, batch {_BATCH}; {fused}; median of {_ROUNDS} rounds in turns",
        "",
    ]
    lines += ["| loop | seconds | vitlab is faster by |", "|---|---|---|"]
    for name, took in times.items():
        lines.append(f"| {name} | {median(took):.2f} | {times_faster(took, times['vitlab']):.2f}x |")
    write("epoch", "\n".join(lines))


class RandomImages:
    """The source of vitlab's data set."""

    def read(self, request: Request) -> tuple[dict[str, Pixels | Files], tuple[str, ...]]:
        """The bytes that the peers have too."""
        train, val = slice(0, _TRAIN), slice(_TRAIN, None)
        splits: dict[str, Pixels | Files] = {
            "train": pixels(_BYTES[train], _LABELS[train]),
            "val": pixels(_BYTES[val], _LABELS[val]),
            "test": pixels(_BYTES[val], _LABELS[val]),
        }
        return splits, tuple("0123456789")


def ours(folder: Path) -> Trainer:
    """The trainer of vitlab for this run, whose checkpoints go into ``folder``."""
    register_resolvers()
    settings = [
        "data=cifar10",
        "model=vit_micro",
        "augment=light",
        f"trainer.batch_size={_BATCH}",
        "trainer.epochs=1000",
    ]
    settings += ["~data.source", "+data.source._target_=benchmarks.epoch.RandomImages", "allow_targets=[benchmarks]"]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("train", settings)
    return assemble(cfg, folder / "checkpoints", GracefulStop()).trainer


def one_more(trainer: Trainer, tracker: Tracker) -> None:
    """Train for one more epoch, and validate, log and save."""
    steps = len(trainer.train_batches)
    trainer.length = RunLength(trainer.step + steps, steps)
    trainer.fit(tracker)


def _vitlab(folder: Path) -> Callable[[], object]:
    trainer = ours(folder)
    tracker = Fanout(Records(folder), Console(trainer.length, io.StringIO()), [])
    return lambda: one_more(trainer, tracker)


class _Images(Dataset[tuple[object, int]]):
    def __init__(self, rows: slice, transform: Callable[[object], object]) -> None:
        self.images = [Image.fromarray(image) for image in _BYTES[rows]]
        self.labels, self.transform = _LABELS[rows].tolist(), transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[object, int]:
        return self.transform(self.images[index]), self.labels[index]


@dataclass
class _Loop:
    model: nn.Module
    train: Iterable[tuple[Tensor, Tensor]]
    val: Iterable[tuple[Tensor, Tensor]]
    read_every: int  # steps between two looks at the loss
    folder: Path

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3, weight_decay=0.05)
        self.rows: list[dict[str, float]] = []

    def epoch(self) -> None:
        """Train, validate, log, save."""
        self.model.train()
        for step, (images, labels) in enumerate(self.train):
            loss = F.cross_entropy(self.model(images), labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            if step % self.read_every == 0:
                self.rows.append({"step": step, "loss": loss.item()})
        self.model.eval()
        right = 0
        with torch.inference_mode():
            for images, labels in self.val:
                right += int((self.model(images).argmax(1) == labels).sum().item())
        self.rows.append({"step": -1, "loss": right / _VAL})
        with (self.folder / "log.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, ["step", "loss"])
            writer.writerows(self.rows)
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        torch.save(state, self.folder / "checkpoint.pt")


def _loops(folder: str) -> dict[str, _Loop]:
    last = [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(_MEAN, _STD)]
    light = v2.Compose([v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip(), *last])
    timms = create_transform(32, is_training=True, color_jitter=None, mean=_MEAN, std=_STD)

    def loader(rows: slice, transform: Callable[[object], object], shuffle: bool) -> DataLoader[tuple[object, int]]:
        images = _Images(rows, transform)
        return DataLoader(images, _BATCH, shuffle=shuffle, num_workers=_WORKERS, persistent_workers=True)

    def loop(model: nn.Module, transform: Callable[[object], object], read_every: int) -> _Loop:
        val = loader(slice(_TRAIN, None), v2.Compose(last), shuffle=False)
        return _Loop(model, loader(slice(0, _TRAIN), transform, shuffle=True), val, read_every, Path(folder))

    return {
        "timm's train.py": loop(peers.timm(_MICRO), timms, read_every=50),
        "torchvision's reference": loop(peers.torchvision(_MICRO), light, read_every=1),
        "plain script": loop(peers.Plain(_MICRO), light, read_every=1),
    }


if __name__ == "__main__":
    main()

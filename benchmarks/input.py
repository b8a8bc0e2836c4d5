"""``python -m benchmarks.input``: from bytes in memory to augmented batches, images a second on one core, in turns.

32 px, batch 128. Ours works on whole batches; the peers take image after image, in the process that would train. Light
is a crop and a flip; strong adds an operation of colour or shape to each image, and blanks a part of some. Ours mixes
images in pairs on top of that.
"""

from collections.abc import Callable, Iterator
from statistics import median

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from benchmarks import peers
from benchmarks.side_by_side import in_turns, machine, times_faster, write
from vitlab.config.build import build
from vitlab.config.compose import conf_dir, register_resolvers, resolved
from vitlab.data.batches import MemoryBatches, Plan
from vitlab.data.source import pixels

_IMAGES, _BATCH, _ROUNDS = 2048, 128, 9
_MEAN, _STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)
_RNG = np.random.default_rng(0)
_BYTES = _RNG.integers(0, 256, (_IMAGES, 32, 32, 3), dtype=np.uint8)
_LABELS = _RNG.integers(0, 10, _IMAGES)


def main() -> None:
    """Measure and write the table."""
    torch.set_num_threads(1)
    lines = [f"{machine()}; {peers.versions()}; median of {_ROUNDS} rounds in turns", ""]
    lines += ["| augmentation | who | images/s | vitlab is faster by |", "|---|---|---|---|"]
    for name in ("light", "strong"):
        loaders = {"vitlab": _ours(name), "torchvision v2": _torchvision(name), "timm": _timm(name)}
        times = in_turns(loaders, _ROUNDS)
        for who, took in times.items():
            faster = times_faster(took, times["vitlab"])
            lines.append(f"| {name} | {who} | {_IMAGES / median(took):,.0f} | {faster:.1f}x |")
    write("input", "\n".join(lines))


def _ours(name: str) -> Callable[[], object]:
    register_resolvers()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        augment = build(resolved(compose("train", ["data=cifar10", f"augment={name}"])), "augment")
    plan = Plan(np.arange(_IMAGES), _BATCH, seed=0, shuffle=True)
    batches = MemoryBatches(pixels(_BYTES, _LABELS), plan, torch.device("cpu"))

    def epoch() -> Iterator[torch.Tensor]:
        for images, labels in batches.epoch(0):
            yield augment.train(images, labels, _RNG)[0]

    return lambda: _drain(epoch())


class _Images(Dataset[tuple[object, int]]):
    def __init__(self, images: list[object], transform: Callable[[object], object]) -> None:
        self.images, self.transform = images, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[object, int]:
        return self.transform(self.images[index]), int(_LABELS[index])


def _torchvision(name: str) -> Callable[[], object]:
    steps: list[object] = [v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip()]
    steps += [v2.TrivialAugmentWide()] if name == "strong" else []
    steps += [v2.ToDtype(torch.float32, scale=True), v2.Normalize(_MEAN, _STD)]
    steps += [v2.RandomErasing(0.25)] if name == "strong" else []
    tensors: list[object] = list(torch.from_numpy(_BYTES).permute(0, 3, 1, 2).contiguous())
    loader = DataLoader(_Images(tensors, v2.Compose(steps)), _BATCH, shuffle=True)
    return lambda: _drain(images for images, _ in loader)


def _timm(name: str) -> Callable[[], object]:
    from timm.data.transforms_factory import create_transform

    strong = {"auto_augment": "rand-m9", "re_prob": 0.25} if name == "strong" else {"color_jitter": None}
    transform = create_transform(32, is_training=True, mean=_MEAN, std=_STD, **strong)
    loader = DataLoader(_Images([Image.fromarray(image) for image in _BYTES], transform), _BATCH, shuffle=True)
    return lambda: _drain(images for images, _ in loader)


def _drain(batches: Iterator[torch.Tensor]) -> None:
    for images in batches:
        assert images.shape[1:] == (3, 32, 32)


if __name__ == "__main__":
    main()

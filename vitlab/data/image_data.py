"""A data set: where its images come from, how they are split, and how they come in batches."""

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch

from vitlab.data.batches import MemoryBatches, Plan, StreamBatches
from vitlab.data.source import Files, Pixels, Request, Source
from vitlab.data.spec import Spec
from vitlab.data.splits import carve, digest

_READ_WHOLE = 256  # streamed files whose content tells whether they have changed: a second of reading, at most


class ImageData:
    """Images and labels in the splits ``train``, ``val`` and ``test``.

    A split that the source does not have is carved out of train by a draw that is seeded and stratified. ``val``
    is what models are chosen by; ``test`` is for the end.

    Args:
        source: reads the images.
        image_size: height and width, in pixels.
        channels: 1 for grey, 3 for colour.
        num_classes: how many labels there must be; None takes as many as the source has.
        mean, std: of each channel, for images in 0..1.
        patch_size: what a ViT for these images takes if nobody says otherwise, in pixels.
        horizontal_flip: whether a mirrored image keeps its label.
        val_fraction: share of train that becomes val, and test, where the source has none.
        split_seed: of that draw; apart from the run's seed, so that runs share their splits.
        select_on_test: use test as val. Figures chosen that way are too good.
        memory_limit_mb: decoded images up to this size are one tensor on the device; 0 streams images of a folder.
        num_workers: processes that decode images which do not fit.
        root: the folder of the images, for sources that have one.

    Raises:
        ValueError: the source has other classes, sizes or channels, or too few images.
        OSError: the source finds nothing.
    """

    def __init__(
        self,
        source: Source,
        image_size: int,
        channels: int,
        num_classes: int | None,
        mean: Sequence[float],
        std: Sequence[float],
        patch_size: int,
        horizontal_flip: bool,
        val_fraction: float = 0.1,
        split_seed: int = 0,
        select_on_test: bool = False,
        memory_limit_mb: int = 2048,
        num_workers: int = 4,
        root: str | None = None,
    ) -> None:
        if len(mean) != channels or len(std) != channels:
            raise ValueError(f"mean and std must have channels={channels} values, not {len(mean)} and {len(std)}")
        folder = Path(root).expanduser() if root is not None else None
        self.request = Request(image_size, channels, memory_limit_mb * 2**20, folder)
        self.num_workers = num_workers
        self.stores, names = source.read(self.request)
        if num_classes is not None and num_classes != len(names):
            raise ValueError(f"num_classes={num_classes}, but the images have {len(names)} classes")
        self.spec = Spec(image_size, channels, len(names), tuple(mean), tuple(std), names, patch_size, horizontal_flip)
        self.indices = self._split(val_fraction, split_seed, select_on_test)
        self._on_device = cache(self._move)

    def _split(self, fraction: float, seed: int, select_on_test: bool) -> dict[str, tuple[str, np.ndarray]]:
        """For each split, the store that it lies in and its indices there."""
        found = {name: (name, np.arange(len(store.labels))) for name, store in self.stores.items()}
        for missing in ("test", "val"):
            if missing == "val" and select_on_test:
                found["val"] = found["test"]
            elif missing not in found:
                store, train = found["train"]
                rest, carved = carve(self.stores[store].labels.numpy()[train], fraction, seed)
                found["train"], found[missing] = (store, train[rest]), (store, train[carved])
        return found

    def hashes(self) -> dict[str, str]:
        """SHA-256 of the images with their labels, and of the indices of each split."""
        stores = {f"images/{name}": _digest_of(store) for name, store in self.stores.items()}
        return stores | {f"split/{name}": digest(indices) for name, (_, indices) in self.indices.items()}

    def batches(
        self,
        split: str,
        *,
        batch_size: int,
        device: torch.device,
        seed: int,
        shuffle: bool,
        limit: int | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> MemoryBatches | StreamBatches:
        """One split in batches on ``device``, ``limit`` of them an epoch at most.

        Args:
            split: ``train``, ``val`` or ``test``.
            batch_size: images a batch; the last of an epoch may be smaller.
            device: where the batches are wanted.
            seed: of the order.
            shuffle: whether each epoch has an order of its own.
            limit: batches an epoch, or None for all.
            rank, world_size: which process of how many asks.
        """
        store_name, indices = self.indices[split]
        plan = Plan(indices, batch_size, seed, shuffle, limit, rank, world_size)
        store = self.stores[store_name]
        if isinstance(store, Files):
            return StreamBatches(store, plan, device, self.request, self.num_workers)
        return MemoryBatches(self._on_device(store_name, device), plan, device)

    def _move(self, store_name: str, device: torch.device) -> Pixels:
        """The store on ``device``, if it is small enough for it: one copy, which its splits share."""
        store = self.stores[store_name]
        assert isinstance(store, Pixels)
        if store.images.nbytes > self.request.memory_limit:
            return store
        return Pixels(store.images.to(device), store.labels.to(device))


def _digest_of(store: Pixels | Files) -> str:
    """SHA-256 of pixels and labels; of files those of name, size and label of all, and of the content of some."""
    if isinstance(store, Pixels):
        return digest(store.images.numpy(), store.labels.numpy())
    listing = bytearray()
    for number in range(len(store.paths)):
        relative = store.paths.relative(number)
        name = "/".join(relative.split(os.sep)[-2:])  # noqa: PTH206 -- for millions
        size = os.stat(os.path.join(store.paths.root, relative)).st_size  # noqa: PTH116, PTH118 -- for millions
        listing += f"\n{name} {size}".encode(errors="surrogateescape")
    some = np.linspace(0, len(store.paths) - 1, min(len(store.paths), _READ_WHOLE), dtype=np.int64)
    contents = (np.frombuffer(store.paths[number].read_bytes(), np.uint8) for number in some)
    return digest(np.frombuffer(listing[1:], np.uint8), store.labels.numpy(), *contents)

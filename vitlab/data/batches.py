"""The order in which images are seen, and batches in that order.

Shapes: N images, B batch, C channels, H x W pixels.
"""

import errno
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vitlab.data.decode import decode
from vitlab.data.source import Files, Pixels, Request

_ORDER = 0  # a stream of random numbers of its own, apart from the augmentation


def epoch_order(count: int, seed: int, epoch: int, shuffle: bool, rank: int = 0, world_size: int = 1) -> np.ndarray:
    """The order of ``count`` images in one epoch: a pure function of its arguments.

    Args:
        count: N.
        seed: of the run.
        epoch: from 0.
        shuffle: whether to shuffle at all.
        rank, world_size: which process of how many; each gets every ``world_size``-th image.

    Returns:
        Indices int64 into the N images.
    """
    order = np.random.default_rng((seed, _ORDER, epoch)).permutation(count) if shuffle else np.arange(count)
    return order[rank::world_size]


@dataclass(frozen=True)
class Plan:
    """Which images of a store, in which batches.

    Args:
        indices: of the split's images in its store, int64 [N].
        batch_size: B; the last batch of an epoch may be smaller.
        seed: of the run.
        shuffle: whether each epoch has an order of its own.
        limit: batches an epoch at most, or None for all.
        rank, world_size: which process of how many.
    """

    indices: np.ndarray
    batch_size: int
    seed: int
    shuffle: bool
    limit: int | None = None
    rank: int = 0
    world_size: int = 1

    def __len__(self) -> int:
        """Batches an epoch."""
        whole = -(-len(self.indices[self.rank :: self.world_size]) // self.batch_size)
        return whole if self.limit is None else min(whole, self.limit)

    @property
    def num_images(self) -> int:
        """Images an epoch."""
        return min(len(self.indices[self.rank :: self.world_size]), len(self) * self.batch_size)

    def epoch(self, epoch: int) -> np.ndarray:
        """Indices into the store, in the order of one epoch: int64 [num_images]."""
        order = epoch_order(len(self.indices), self.seed, epoch, self.shuffle, self.rank, self.world_size)
        indices: np.ndarray = self.indices[order][: self.num_images]
        return indices


class MemoryBatches:
    """Batches gathered from one tensor; on the device where it fits, so that nothing is copied in the loop.

    Args:
        pixels: the store, on the device or on the host.
        plan: which images, in which batches.
        device: where the batches are wanted.
    """

    def __init__(self, pixels: Pixels, plan: Plan, device: torch.device) -> None:
        self.pixels, self.plan, self.device = pixels, plan, device
        self.num_images = plan.num_images

    def __len__(self) -> int:
        """Batches an epoch."""
        return len(self.plan)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Images uint8 [B, C, H, W] and labels int64 [B] on the device, from batch ``start`` on."""
        order = torch.from_numpy(self.plan.epoch(epoch)).to(self.pixels.images.device)
        for index in torch.split(order, self.plan.batch_size)[start:]:
            images, labels = self.pixels.images[index], self.pixels.labels[index]
            yield images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)


class StreamBatches:
    """Batches decoded by worker processes while the device trains: the same batches, bit for bit.

    Args:
        files: the store.
        plan: which images, in which batches.
        device: where the batches are wanted.
        request: how the images are wanted.
        num_workers: processes that decode.
    """

    def __init__(self, files: Files, plan: Plan, device: torch.device, request: Request, num_workers: int) -> None:
        self.plan, self.device, self.num_workers = plan, device, num_workers
        self.dataset = _Decoded(files, request)
        self.num_images = plan.num_images

    def __len__(self) -> int:
        """Batches an epoch."""
        return len(self.plan)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Images uint8 [B, C, H, W] and labels int64 [B] on the device, from batch ``start`` on.

        Raises:
            OSError: an image cannot be decoded; it is named.
        """
        order = self.plan.epoch(epoch)
        batches = [
            order[begin : begin + self.plan.batch_size].tolist()
            for begin in range(start * self.plan.batch_size, len(order), self.plan.batch_size)
        ]
        loader = DataLoader(
            self.dataset,
            sampler=batches,
            batch_size=None,  # the dataset takes whole batches
            num_workers=self.num_workers,
            pin_memory=self.device.type == "cuda",
        )
        for images, labels, problem in loader:
            if problem:
                raise OSError(errno.EIO, problem)
            yield images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)


class _Decoded(Dataset[tuple[Tensor, Tensor, str]]):
    """Whole batches of decoded images, each with what went wrong, if anything did."""

    def __init__(self, files: Files, request: Request) -> None:
        self.files, self.request = files, request

    def __getitem__(self, index: list[int]) -> tuple[Tensor, Tensor, str]:
        size, channels = self.request.image_size, self.request.channels
        try:
            images = np.stack([decode(self.files.paths[i], size, channels) for i in index])
        except ValueError as error:  # as a word, because an exception of a worker comes back as a traceback
            return torch.empty(0), torch.empty(0), str(error)
        return torch.from_numpy(images), self.files.labels[index], ""

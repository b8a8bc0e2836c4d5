"""The order in which images are seen, and batches in that order.

Shapes: N images, B batch, C channels, H x W pixels.
"""

import errno
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vitlab.data.decode import decode
from vitlab.data.source import Files, Pixels, Request

_ORDER = 0  # a stream of random numbers of its own, apart from the augmentation


def epoch_order(count: int, seed: int, epoch: int, shuffle: bool) -> np.ndarray:
    """The order of ``count`` images in one epoch: a pure function of its arguments.

    Args:
        count: N.
        seed: of the run.
        epoch: from 0.
        shuffle: whether to shuffle at all.

    Returns:
        Indices int64 into the N images.
    """
    return np.random.default_rng((seed, _ORDER, epoch)).permutation(count) if shuffle else np.arange(count)


@dataclass(frozen=True)
class Plan:
    """Which images of a store, in which batches.

    Args:
        indices: of the split's images in its store, int64 [N].
        batch_size: B; the last batch of an epoch may be smaller.
        seed: of the run.
        shuffle: whether each epoch has an order of its own.
        limit: batches an epoch at most, or None for all.
        rank, world_size: which process of how many. The batches are the same for any number of them; each process
            gets every ``world_size``-th image of every batch.
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
        whole = -(-len(self.indices) // self.batch_size)
        return whole if self.limit is None else min(whole, self.limit)

    @property
    def num_images(self) -> int:
        """Images an epoch, of all processes."""
        return min(len(self.indices), len(self) * self.batch_size)

    def images_in(self, batch: int) -> int:
        """Images in batch number ``batch``, of all processes."""
        return min(self.batch_size, self.num_images - batch * self.batch_size)

    def numbers(self, epoch: int, batch: int) -> list[int]:
        """Indices into the store, this process's share of one batch."""
        numbers: list[int] = next(self.epoch(epoch, batch)).tolist()
        return numbers

    def epoch(self, epoch: int, start: int) -> Iterator[np.ndarray]:
        """Indices into the store, this process's share of each batch of one epoch from batch ``start`` on: int64 [B].

        A batch that is too small for all processes gives those without a share its first image, not to be counted: no
        process may be missing when they meet.
        """
        order = self.indices[epoch_order(len(self.indices), self.seed, epoch, self.shuffle)][: self.num_images]
        for begin in range(start * self.batch_size, len(order), self.batch_size):
            batch = order[begin : begin + self.batch_size]
            share = batch[self.rank :: self.world_size]
            yield share if len(share) else batch[:1]


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

    def images_in(self, batch: int) -> int:
        """Images in batch number ``batch``, of all processes."""
        return self.plan.images_in(batch)

    def numbers(self, epoch: int, batch: int) -> list[int]:
        """Numbers in the store of this process's images in one batch."""
        return self.plan.numbers(epoch, batch)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Images uint8 [B, C, H, W] and labels int64 [B] on the device, from batch ``start`` on."""
        order = list(self.plan.epoch(epoch, start))
        shares = torch.from_numpy(np.concatenate(order)).to(self.pixels.images.device) if order else torch.empty(0)
        for index in torch.split(shares, [len(share) for share in order]):
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

    def images_in(self, batch: int) -> int:
        """Images in batch number ``batch``, of all processes."""
        return self.plan.images_in(batch)

    def numbers(self, epoch: int, batch: int) -> list[int]:
        """Numbers in the store of this process's images in one batch."""
        return self.plan.numbers(epoch, batch)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Images uint8 [B, C, H, W] and labels int64 [B] on the device, from batch ``start`` on.

        Raises:
            OSError: an image cannot be decoded, and is named; or a worker was killed.
        """
        loader = DataLoader(
            self.dataset,
            sampler=(share.tolist() for share in self.plan.epoch(epoch, start)),
            batch_size=None,  # the dataset takes whole batches
            num_workers=self.num_workers,
            pin_memory=self.device.type == "cuda",
        )
        for images, labels, problem in _decoded_by(loader):
            if problem:
                raise OSError(errno.EIO, problem)
            yield images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)


def _decoded_by(loader: DataLoader[tuple[Tensor, Tensor, str]]) -> Iterator[tuple[Tensor, Tensor, str]]:
    """What ``loader`` gives; of a worker that was killed it tells here, and nowhere else."""
    before = signal.getsignal(signal.SIGCHLD)
    try:
        batches = iter(loader)
        if threading.current_thread() is threading.main_thread():
            # torch's handler would raise in the middle of whatever the process does then, the writing of a file say.
            signal.signal(signal.SIGCHLD, before)
        yield from batches
    except (RuntimeError, ConnectionError, EOFError) as error:
        why = f"a process that reads images was killed ({' '.join(str(error).split())}), likely because memory ran out"
        raise OSError(errno.ENOMEM, f"{why}; try a smaller data.num_workers") from error


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

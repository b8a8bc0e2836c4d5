"""What the training loop needs of the parts that it is handed."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from vitlab.duration import RunLength


class Batches(Protocol):
    """One split in batches, in an order that is a pure function of the seed and the epoch."""

    @property
    def num_images(self) -> int:
        """Images an epoch, of all processes."""

    def __len__(self) -> int:
        """Batches an epoch; the last may be smaller than the others."""

    def images_in(self, batch: int) -> int:
        """Images in batch number ``batch``, of all processes."""

    def numbers(self, epoch: int, batch: int) -> list[int]:
        """Numbers in the data set of this process's images in one batch, from 0 in the order of the source."""

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Images uint8 [B, C, H, W] and labels int64 [B] on the device, from batch ``start`` on.

        Of several processes each gets its share of every batch; where there is nothing to share, an image that it
        must not count.
        """


class Data(Protocol):
    """A data set with the splits ``train``, ``val`` and ``test``."""

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
    ) -> Batches:
        """One split in batches, ``limit`` of them at most, of which process ``rank`` gets its share."""


class Augment(Protocol):
    """From uint8 images to the floats that the model sees."""

    def train(self, images: Tensor, labels: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Augmented, normalised images, and targets: labels [B] or shares of each class [B, K]."""

    def eval(self, images: Tensor) -> Tensor:
        """Normalised images."""


Objective = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""Mean loss of a batch from (model, images, targets)."""

Schedule = Callable[[int, RunLength], float]
"""The share of the learning rate for the step that comes after so many steps."""


class Optimizer(Protocol):
    """What the loop uses of ``torch.optim.Optimizer``."""

    param_groups: Any

    @property
    def state(self) -> Any:
        """What is kept of each parameter, live."""

    def step(self) -> Any:
        """Update the parameters."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""

    def state_dict(self) -> dict[str, Any]:
        """State for a checkpoint."""

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Take up a checkpoint's state."""


class Attending(Protocol):
    """An attention that can be looked into."""

    def forward_with_weights(self, tokens: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What ``forward`` gives, and the weights [B, H, T, T]."""


class Tracker(Protocol):
    """Where figures and words go. Files that cannot be written raise ``OSError``; nothing else is raised."""

    def log(self, row: Mapping[str, float | str]) -> None:
        """Keep one row of figures; it carries its own ``step``."""

    def progress(self, step: int) -> None:
        """So many steps are done."""

    def say(self, message: str) -> None:
        """One sentence for the console and the log."""


class StopSignal(Protocol):
    """Whether the run was asked to stop."""

    @property
    def requested(self) -> bool:
        """True from the first signal on."""

    def obey(self) -> None:
        """End the run if it was asked to stop."""

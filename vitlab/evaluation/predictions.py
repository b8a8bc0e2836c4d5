"""What a model says of every image of a split."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vitlab.engine.contracts import Augment, Batches, StopSignal
from vitlab.engine.precision import Precision
from vitlab.errors import Interrupted

Change = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Predictions:
    """Logits [N, K] and labels [N] of a split, in its order, on the CPU."""

    logits: Tensor
    labels: Tensor

    @property
    def accuracy(self) -> float:
        """Share of the images whose greatest logit is their label's."""
        return (self.logits.argmax(dim=1) == self.labels).double().mean().item()


@dataclass(frozen=True)
class First:
    """The first ``count`` images of ``batches``."""

    batches: Batches
    count: int

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """As ``Batches`` has it; the last batch is cut."""
        left = self.count
        for images, labels in self.batches.epoch(number):
            yield images[:left], labels[:left]
            left -= len(images)
            if left <= 0:
                return


class Predictor:
    """A model with all that it takes to show it images.

    Args:
        model: on its device; put into eval mode.
        augment: normalises the images.
        precision: in which the model works.
        stop: asked before each batch.
    """

    def __init__(self, model: nn.Module, augment: Augment, precision: Precision, stop: StopSignal) -> None:
        self.model, self.augment, self.precision, self.stop = model.eval(), augment, precision, stop

    @torch.inference_mode()
    def logits(self, images: Tensor) -> Tensor:
        """Logits [B, K] in float32 of uint8 images [B, C, S, S]."""
        with self.precision.autocast():
            logits: Tensor = self.model(self.augment.eval(images)).float()
        return logits

    def on(self, batches: Batches | First, change: Change | None = None, mirrored: bool = False) -> Predictions:
        """Predictions for all of ``batches``.

        Args:
            batches: a split.
            change: what happens to the uint8 images [B, C, S, S] before the model sees them.
            mirrored: whether the probabilities are the mean of those of the image and of its mirror image.

        Raises:
            Interrupted: a signal asked for a stop.
        """
        logits, labels = [], []
        for images, of_batch in batches.epoch(0):
            if self.stop.requested:
                self.stop.obey()
                raise Interrupted(15)
            seen = images if change is None else change(images)
            found = self.logits(seen)
            if mirrored:
                both = torch.stack([found, self.logits(seen.flip(-1))]).softmax(dim=-1)
                found = both.mean(dim=0).clamp_min(1e-30).log()
            logits.append(found.cpu())
            labels.append(of_batch.cpu())
        return Predictions(torch.cat(logits), torch.cat(labels))

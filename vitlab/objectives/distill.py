"""Learning from a teacher beside the labels.

Shapes: B batch, C channels, K classes.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

KINDS = ("soft", "hard")


class Distillation:
    """Cross-entropy with the labels, mixed with what a teacher says of the same augmented images.

    ``soft``: the Kullback-Leibler divergence to the teacher's probabilities at a temperature T, times T^2 (Hinton et
    al. 2015, "Distilling the knowledge in a neural network", section 2). ``hard``: cross-entropy with the class that
    the teacher finds most likely (Touvron et al. 2021, "Training data-efficient image transformers", DeiT, section 4).

    A student with a distillation token learns from the teacher with that token's head and from the labels with the
    other; without one, with the only head it has.

    Args:
        teacher: maps images to logits [B, K]; it is frozen, in eval mode, and moves to where the images are.
        kind: ``soft`` or ``hard``.
        temperature: T of the soft kind, above 0.
        weight: share of the teacher in the loss, 0 to 1.
        label_smoothing: of the labels, in [0, 1).

    Raises:
        ValueError: one of these lies outside its range.
    """

    def __init__(
        self,
        teacher: nn.Module,
        kind: str = "soft",
        temperature: float = 3.0,
        weight: float = 0.5,
        label_smoothing: float = 0.0,
    ) -> None:
        if kind not in KINDS:
            raise ValueError(f"kind={kind} is not one of {', '.join(KINDS)}")
        if not temperature > 0:
            raise ValueError(f"temperature={temperature} is not greater than 0; try 3.0")
        if not 0 <= weight <= 1:
            raise ValueError(f"weight={weight} lies outside [0, 1]; try 0.5")
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing={label_smoothing} lies outside [0, 1); try 0.1")
        self.teacher = teacher.eval().requires_grad_(False)
        self.kind, self.temperature, self.weight = kind, temperature, weight
        self.label_smoothing = label_smoothing
        self._device: torch.device | None = None  # where the teacher is known to be

    def __call__(self, model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        """Loss of ``model`` on a batch.

        Args:
            model: maps images to logits [B, K]; if it has a ``head_dist``, to those of both heads, [2, B, K].
            images: [B, C, H, W], normalised.
            targets: class labels [B], or shares of each class [B, K] that sum to one.

        Returns:
            The mean loss of the batch, a scalar.
        """
        if self._device != images.device:
            self.teacher.to(images.device)
            self._device = images.device
        with torch.no_grad():
            taught = self.teacher(images).float()  # [B, K]
        if getattr(model, "head_dist", None) is not None:
            by_labels, by_teacher = model(images, both_heads=True).float()  # 2 x [B, K]
        else:
            by_labels = by_teacher = model(images).float()  # [B, K]
        from_labels = F.cross_entropy(by_labels, targets, label_smoothing=self.label_smoothing)
        return (1 - self.weight) * from_labels + self.weight * self._from_teacher(by_teacher, taught)

    def _from_teacher(self, logits: Tensor, taught: Tensor) -> Tensor:
        if self.kind == "hard":
            return F.cross_entropy(logits, taught.argmax(dim=1))
        own, theirs = ((x / self.temperature).log_softmax(dim=1) for x in (logits, taught))
        divergence = F.kl_div(own, theirs, reduction="batchmean", log_target=True)
        return divergence * self.temperature**2

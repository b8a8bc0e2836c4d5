"""Cross-entropy, the objective of image classification."""

from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F


class CrossEntropy:
    """Mean cross-entropy of a batch, with label smoothing (Szegedy et al. 2016, section 7).

    Args:
        label_smoothing: share of each target that is spread evenly over all classes, in [0, 1).

    Raises:
        ValueError: ``label_smoothing`` lies outside [0, 1).
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing={label_smoothing} lies outside [0, 1); try 0.1")
        self.label_smoothing = label_smoothing

    def __call__(self, model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        """Loss of ``model`` on a batch.

        Args:
            model: maps images to logits [B, K].
            images: [B, C, H, W], normalised.
            targets: class labels [B], or shares of each class [B, K] that sum to one.

        Returns:
            The mean loss of the batch, a scalar.
        """
        logits = cast(Tensor, model(images))  # [B, K]
        return F.cross_entropy(logits.float(), targets, label_smoothing=self.label_smoothing)

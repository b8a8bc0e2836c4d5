"""Fewer patches early in training, all of them late."""

from typing import Any

from torch import nn


class EarlyPatchDrop:
    """The model's ``patch_drop`` for the first steps of a run, and none from then on.

    Early steps learn what a part of an image tells as well as the whole, and cost less; the late ones close the gap to
    validation, which sees all patches (Wang et al. 2023, "EfficientTrain", makes images smaller to the same end; Liu
    et al. 2023, "PatchDropout"). Two numbers of tokens, so that a compiled model is compiled twice and no more.

    Args:
        model: a ViT, whose ``patch_drop.rate`` is what is left out.
        until: the step from which on nothing is.

    Raises:
        ValueError: the model leaves no patches out.
    """

    def __init__(self, model: nn.Module, until: int) -> None:
        part: Any = getattr(model, "patch_drop", None)
        if part is None or not part.rate:
            raise ValueError("patch_drop_until needs patches that are left out; try model.patch_drop=0.5")
        self._part, self._rate, self._until = part, part.rate, until

    def at(self, step: int) -> None:
        """Set the model for the step that comes after so many."""
        self._part.rate = self._rate if step < self._until else 0.0

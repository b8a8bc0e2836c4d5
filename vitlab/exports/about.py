"""What goes with the weights into every export."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

from torch import Tensor

Predict = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class About:
    """What one has to know of a model to use it.

    Args:
        vitlab: version that exported it.
        image_size, channels: of its images.
        mean, std: of each channel, for images in 0..1; what they are normalised with.
        class_names: in the order of its logits.
        num_heads: of its attentions, which no weight tells; 0 if there are none.
        step: at which its weights were taken.
    """

    vitlab: str
    image_size: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    class_names: tuple[str, ...]
    num_heads: int
    step: int

    def as_strings(self) -> dict[str, str]:
        """For formats that hold nothing but text: lists and numbers as JSON."""
        return {name: value if isinstance(value, str) else json.dumps(value) for name, value in asdict(self).items()}

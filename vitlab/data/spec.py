"""What is known of a set of images."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Spec:
    """The facts of a data set that others need.

    Args:
        image_size: height and width, in pixels.
        channels: 1 for grey, 3 for colour.
        num_classes: how many labels there are.
        mean, std: of each channel, for images in 0..1.
        class_names: in the order of the labels.
        patch_size: what a ViT for these images takes if nobody says otherwise, in pixels.
        horizontal_flip: whether a mirrored image keeps its label.
    """

    image_size: int
    channels: int
    num_classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    class_names: tuple[str, ...]
    patch_size: int
    horizontal_flip: bool

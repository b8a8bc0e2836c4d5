"""What all patch embeddings refuse: patches that do not fill the image, and images that the model is not made for."""

from torch import Tensor

from vitlab.models.layout import nearest_divisors


def grid_of(image_size: int, patch_size: int) -> tuple[int, int]:
    """Rows and columns of patches in a square image.

    Raises:
        ValueError: the patch does not divide the image; the nearest that do are named.
    """
    if image_size < 1:
        raise ValueError(f"image_size={image_size} is not positive; try 32")
    if patch_size < 1 or image_size % patch_size:
        hint = nearest_divisors(image_size, patch_size)
        raise ValueError(f"patch_size={patch_size} does not divide image_size={image_size}; try {hint}")
    return image_size // patch_size, image_size // patch_size


def refuse_other_images(images: Tensor, expected: tuple[int, int, int]) -> None:
    """Refuse images that are not [B, C, S, S] with the sizes of the model: a patch more, or half a one, would vanish.

    Raises:
        ValueError: the images have another number of channels or of pixels than ``expected``.
    """
    if images.shape[1:] != expected:
        raise ValueError(f"images {list(images.shape[1:])} (C, H, W) do not fit a model for images {list(expected)}")


def halvings(image_size: int, patch_size: int, part: str) -> int:
    """How many times an image is halved until one place stands for a patch.

    Raises:
        ValueError: ``patch_size`` is no power of two from 2 up; those that divide the image are named.
    """
    grid_of(image_size, patch_size)
    if patch_size < 2 or patch_size & (patch_size - 1):
        legal = [size for size in (2, 4, 8, 16, 32) if image_size % size == 0]
        hint = f"patch_size={' or '.join(map(str, legal))}" if legal else "patch_embed=conv"
        raise ValueError(f"patch_embed={part} halves the image, so patch_size={patch_size} cannot be had; try {hint}")
    return patch_size.bit_length() - 1

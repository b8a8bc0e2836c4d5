"""One set of weights for patches of any size.

Beyer et al. 2023, "FlexiViT: one model for all patch sizes", section 3.4 (PI-resize).
Shapes: B batch, C channels, S x S image, P x P patch, R x R weights, N = (S / P)^2 patches, D width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vitlab.models.patch_embed.grid import grid_of, refuse_other_images


class FlexiPatchEmbed(nn.Module):
    """A convolution whose weights are kept at ``base_patch_size`` and resized to the patch size at each pass.

    A model trained with one ``model.patch_size`` can be loaded with another: the weights on disk are the same.

    Args:
        image_size: height and width of the images, in pixels.
        patch_size: height and width of a patch, in pixels.
        channels: of the images.
        embed_dim: width of a token.
        base_patch_size: R, height and width of the weights that are learned, in pixels.

    Raises:
        ValueError: the patch does not divide the image, or the base is not positive; in ``forward``, images of
            another size.
    """

    formula = "x = conv(image, resize(W)) + b, stride P"
    resize: Tensor

    def __init__(
        self, image_size: int, patch_size: int, channels: int, embed_dim: int, base_patch_size: int = 8
    ) -> None:
        super().__init__()
        self.grid_size = grid_of(image_size, patch_size)
        self.image_shape = (channels, image_size, image_size)
        if base_patch_size < 1:
            raise ValueError(f"base_patch_size={base_patch_size} is not positive; try {patch_size}")
        self.patch_size = patch_size
        self.proj = nn.Conv2d(channels, embed_dim, base_patch_size, stride=base_patch_size)
        resize = pseudo_inverse_resize(base_patch_size, patch_size)
        self.register_buffer("resize", resize, persistent=False)  # [P*P, R*R]

    def forward(self, images: Tensor) -> Tensor:
        """Map images [B, C, S, S] to tokens [B, N, D]."""
        refuse_other_images(images, self.image_shape)
        weight = self.proj.weight.flatten(2) @ self.resize.T  # [D, C, P*P]
        weight = weight.view(*weight.shape[:2], self.patch_size, self.patch_size)
        grid = F.conv2d(images, weight, self.proj.bias, stride=self.patch_size)  # [B, D, S/P, S/P]
        return grid.flatten(2).transpose(1, 2)  # [B, N, D]


def pseudo_inverse_resize(base: int, size: int) -> Tensor:
    """The map from weights for patches of ``base`` pixels to weights for ``size`` pixels: [size^2, base^2].

    With B the matrix that resizes an image (bilinear), it is the pseudo-inverse of B^T: the weights that give a resized
    patch the token that the patch had (equations 3 and 4 of the paper).
    """
    pixels = torch.eye(base**2, dtype=torch.float64).view(-1, 1, base, base)
    resized = F.interpolate(pixels, (size, size), mode="bilinear", antialias=True)  # [base^2, 1, size, size]
    inverse: Tensor = torch.linalg.pinv(resized.flatten(1))  # B^T is [base^2, size^2]
    return inverse.float()

"""Shifted patch tokenisation: each token sees its patch and four views of it moved along the diagonals.

Lee et al. 2021, "Vision transformer for small-size datasets", section 3.2 (SPT).
Shapes: B batch, C channels, S x S image, P x P patch, N = (S / P)^2 patches, D width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vitlab.models.patch_embed.grid import grid_of, refuse_other_images


class ShiftedPatchEmbed(nn.Module):
    """The image beside itself moved by half a patch to each corner, cut into patches, normalised, projected.

    Args:
        image_size: height and width of the images, in pixels.
        patch_size: height and width of a patch, in pixels; at least 2.
        channels: of the images.
        embed_dim: width of a token.

    Raises:
        ValueError: the patch does not divide the image or is a single pixel; in ``forward``, images of another size.
    """

    formula = "xᵢ = W LN([patchᵢ, its 4 diagonal shifts]) + b"

    def __init__(self, image_size: int, patch_size: int, channels: int, embed_dim: int) -> None:
        super().__init__()
        self.grid_size = grid_of(image_size, patch_size)
        if patch_size < 2:
            raise ValueError(f"patch_embed=shifted moves by half a patch, and patch_size={patch_size} has none; try 2")
        self.image_shape = (channels, image_size, image_size)
        self.patch_size = patch_size
        pixels = 5 * channels * patch_size**2
        self.norm = nn.LayerNorm(pixels)
        self.proj = nn.Linear(pixels, embed_dim)

    def forward(self, images: Tensor) -> Tensor:
        """Map images [B, C, S, S] to tokens [B, N, D]."""
        refuse_other_images(images, self.image_shape)
        half, size = self.patch_size // 2, images.shape[-1]
        padded = F.pad(images, (half, half, half, half))  # zeros come in from the side
        corners = [(0, 0), (0, 2 * half), (2 * half, 0), (2 * half, 2 * half)]
        moved = [padded[:, :, top : top + size, left : left + size] for top, left in corners]
        views = torch.cat([images, *moved], dim=1)  # [B, 5C, S, S]
        patches = F.unfold(views, self.patch_size, stride=self.patch_size)  # [B, 5C*P*P, N]
        tokens: Tensor = self.proj(self.norm(patches.transpose(1, 2)))  # [B, N, D]
        return tokens

"""From an image to a sequence of patch tokens.

Dosovitskiy et al. 2021, "An image is worth 16x16 words", section 3.1, equation 1.
Shapes: B batch, C channels, S x S image, P x P patch, N = (S / P)^2 patches, D width.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from vitlab.models.patch_embed.grid import grid_of, refuse_other_images


class ConvPatchEmbed(nn.Module):
    """Cuts an image into patches and projects each, as one convolution whose stride is its kernel.

    Args:
        image_size: height and width of the images, in pixels.
        patch_size: height and width of a patch, in pixels.
        channels: of the images.
        embed_dim: width of a token.

    Raises:
        ValueError: the patch does not divide the image; in ``forward``, images of another size.
    """

    formula = "xᵢ = W patchᵢ + b, by convolution"

    def __init__(self, image_size: int, patch_size: int, channels: int, embed_dim: int) -> None:
        super().__init__()
        self.grid_size = grid_of(image_size, patch_size)
        self.image_shape = (channels, image_size, image_size)
        self.proj = nn.Conv2d(channels, embed_dim, kernel_size=patch_size, stride=patch_size)

    def forward(self, images: Tensor) -> Tensor:
        """Map images [B, C, S, S] to tokens [B, N, D]."""
        refuse_other_images(images, self.image_shape)
        grid: Tensor = self.proj(images)  # [B, D, S/P, S/P]
        return grid.flatten(2).transpose(1, 2)  # [B, N, D]


class LinearPatchEmbed(nn.Module):
    """Flattens each patch to C*P*P numbers, then one linear layer: ``ConvPatchEmbed`` as the paper writes it.

    Args:
        image_size: height and width of the images, in pixels.
        patch_size: height and width of a patch, in pixels.
        channels: of the images.
        embed_dim: width of a token.

    Raises:
        ValueError: the patch does not divide the image; in ``forward``, images of another size.
    """

    formula = "xᵢ = W flatten(patchᵢ) + b"

    def __init__(self, image_size: int, patch_size: int, channels: int, embed_dim: int) -> None:
        super().__init__()
        self.grid_size = grid_of(image_size, patch_size)
        self.image_shape = (channels, image_size, image_size)
        self.patch_size = patch_size
        self.proj = nn.Linear(channels * patch_size**2, embed_dim)

    def forward(self, images: Tensor) -> Tensor:
        """Map images [B, C, S, S] to tokens [B, N, D]."""
        refuse_other_images(images, self.image_shape)
        patches = F.unfold(images, self.patch_size, stride=self.patch_size)  # [B, C*P*P, N]
        tokens: Tensor = self.proj(patches.transpose(1, 2))  # [B, N, D]
        return tokens

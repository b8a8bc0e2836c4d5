"""Patches that overlap: each token sees some way into its neighbours.

Wang et al. 2022, "PVT v2: improved baselines with pyramid vision transformer", section 3.2.
Shapes: B batch, C channels, S x S image, P x P pixels a token, N = (S / P)^2 tokens, D width.
"""

from torch import Tensor, nn

from vitlab.models.patch_embed.grid import grid_of, refuse_other_images


class OverlapPatchEmbed(nn.Module):
    """One convolution whose kernel is larger than its stride; zeros around the image keep the grid of (S / P)^2.

    Args:
        image_size: height and width of the images, in pixels.
        patch_size: the stride, in pixels.
        channels: of the images.
        embed_dim: width of a token.
        kernel_size: height and width of what a token sees, in pixels; None for 2 P - 1.

    Raises:
        ValueError: the patch does not divide the image, or the kernel is not larger than the patch; in ``forward``,
            images of another size.
    """

    formula = "x = conv(image), kernel > stride P"

    def __init__(
        self, image_size: int, patch_size: int, channels: int, embed_dim: int, kernel_size: int | None = None
    ) -> None:
        super().__init__()
        self.grid_size = grid_of(image_size, patch_size)
        self.image_shape = (channels, image_size, image_size)
        kernel = 2 * patch_size - 1 if kernel_size is None else kernel_size
        padding = (kernel - 1) // 2
        if kernel <= patch_size != 1 or (image_size + 2 * padding - kernel) // patch_size + 1 != self.grid_size[0]:
            hint = f"try {2 * max(2, patch_size) - 1}"
            raise ValueError(f"kernel_size={kernel} gives no token for each patch of {patch_size} pixels; {hint}")
        self.proj = nn.Conv2d(channels, embed_dim, kernel, stride=patch_size, padding=padding)

    def forward(self, images: Tensor) -> Tensor:
        """Map images [B, C, S, S] to tokens [B, N, D]."""
        refuse_other_images(images, self.image_shape)
        grid: Tensor = self.proj(images)  # [B, D, S/P, S/P]
        return grid.flatten(2).transpose(1, 2)  # [B, N, D]

"""Two patch sizes at once: each token holds what its own patch shows and what the larger one around it shows.

The scheme: the image is embedded twice, with patches of P and of ``coarse`` x P pixels; the coarse grid is repeated
until it covers the fine one, and the two are added. Chen et al. 2021 ("CrossViT") keep two sequences and exchange
between them, Wang et al. 2022 ("CrossFormer") concatenate kernels of several sizes; a sum on the fine grid is the
scheme that leaves the number of tokens and the rest of the ViT as they are, so that it combines with every other part.
Shapes: B batch, C channels, S x S image, P x P patch, N = (S / P)^2 patches, D width.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from vitlab.models.layout import nearest_divisors
from vitlab.models.patch_embed.grid import grid_of, refuse_other_images


class MultiScalePatchEmbed(nn.Module):
    """The sum of a fine and a coarse embedding, on the fine grid.

    Args:
        image_size: height and width of the images, in pixels.
        patch_size: height and width of a fine patch, in pixels.
        channels: of the images.
        embed_dim: width of a token.
        coarse: height and width of a coarse patch, in fine patches; divides the grid.

    Raises:
        ValueError: the patch does not divide the image, or ``coarse`` the grid; in ``forward``, images of another size.
    """

    formula = "x = conv(image, patch P) + repeat(conv(image, patch c·P))"

    def __init__(self, image_size: int, patch_size: int, channels: int, embed_dim: int, coarse: int = 2) -> None:
        super().__init__()
        self.grid_size = grid_of(image_size, patch_size)
        self.image_shape = (channels, image_size, image_size)
        if coarse < 1 or self.grid_size[0] % coarse:
            rows, columns = self.grid_size
            hint = nearest_divisors(rows, coarse)
            raise ValueError(f"coarse={coarse} does not divide the grid {rows}x{columns}; try {hint}")
        self.fine = nn.Conv2d(channels, embed_dim, patch_size, stride=patch_size)
        self.coarse = nn.Conv2d(channels, embed_dim, coarse * patch_size, stride=coarse * patch_size)

    def forward(self, images: Tensor) -> Tensor:
        """Map images [B, C, S, S] to tokens [B, N, D]."""
        refuse_other_images(images, self.image_shape)
        fine = self.fine(images)  # [B, D, S/P, S/P]
        coarse = F.interpolate(self.coarse(images), self.grid_size, mode="nearest")  # [B, D, S/P, S/P]
        tokens: Tensor = (fine + coarse).flatten(2).transpose(1, 2)  # [B, N, D]
        return tokens

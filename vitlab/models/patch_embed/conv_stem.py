"""A few small convolutions in place of one large one.

Shapes: B batch, C channels, S x S image, P x P pixels a token, N = (S / P)^2 tokens, D width.
"""

from itertools import pairwise

from torch import Tensor, nn

from vitlab.models.patch_embed.grid import grid_of, halvings, refuse_other_images


class ConvStem(nn.Module):
    """3 x 3 convolutions of stride 2 until one place stands for a patch, then one of 1 x 1 to the width.

    Xiao et al. 2021, "Early convolutions help transformers see better", section 4: batch norm and ReLU after each, the
    channels doubling. (The paper takes one block off the encoder to pay for it; here ``model.depth`` says so.)

    Args:
        image_size: height and width of the images, in pixels.
        patch_size: pixels a token, a power of two from 2 up.
        channels: of the images.
        embed_dim: width of a token.

    Raises:
        ValueError: the patch does not divide the image, is all of it or is no power of two; in ``forward``, images of
            another size.
    """

    formula = "[conv 3×3, half size → BN → ReLU] × log₂P → conv 1×1"

    def __init__(self, image_size: int, patch_size: int, channels: int, embed_dim: int) -> None:
        super().__init__()
        steps = halvings(image_size, patch_size, "conv_stem")
        self.grid_size = grid_of(image_size, patch_size)
        if self.grid_size == (1, 1):
            raise ValueError(f"conv_stem's batch norm needs more than one patch; try patch_size={patch_size // 2}")
        self.image_shape = (channels, image_size, image_size)
        widths = [channels, *(max(1, embed_dim // 2**left) for left in range(steps, 0, -1))]
        self.stem = nn.Sequential()
        for before, after in pairwise(widths):
            self.stem.append(nn.Conv2d(before, after, kernel_size=3, stride=2, padding=1, bias=False))
            self.stem.append(nn.BatchNorm2d(after))
            self.stem.append(nn.ReLU())
        self.proj = nn.Conv2d(widths[-1], embed_dim, kernel_size=1)

    def forward(self, images: Tensor) -> Tensor:
        """Map images [B, C, S, S] to tokens [B, N, D]."""
        refuse_other_images(images, self.image_shape)
        grid: Tensor = self.proj(self.stem(images))  # [B, D, S/P, S/P]
        return grid.flatten(2).transpose(1, 2)  # [B, N, D]


class ConvTokenizer(nn.Module):
    """3 x 3 convolutions with ReLU, each followed by max-pooling that halves the image.

    Hassani et al. 2021, "Escaping the big data paradigm with compact transformers" (CCT), section 3.3. A patch of 4
    pixels makes two of them, one of 8 three.

    Args:
        image_size: height and width of the images, in pixels.
        patch_size: pixels a token, a power of two from 2 up.
        channels: of the images.
        embed_dim: width of a token.
        hidden_dim: channels between the convolutions; 64 in the paper.

    Raises:
        ValueError: the patch does not divide the image or is no power of two; in ``forward``, images of another size.
    """

    formula = "[conv 3×3 → ReLU → max-pool, half size] × log₂P"

    def __init__(self, image_size: int, patch_size: int, channels: int, embed_dim: int, hidden_dim: int = 64) -> None:
        super().__init__()
        steps = halvings(image_size, patch_size, "cct")
        self.grid_size = grid_of(image_size, patch_size)
        self.image_shape = (channels, image_size, image_size)
        if hidden_dim < 1:
            raise ValueError(f"hidden_dim={hidden_dim} is not positive; try 64")
        widths = [channels, *[hidden_dim] * (steps - 1), embed_dim]
        self.convs = nn.Sequential()
        for before, after in pairwise(widths):
            self.convs.append(nn.Conv2d(before, after, kernel_size=3, padding=1, bias=False))
            self.convs.append(nn.ReLU())
            self.convs.append(nn.MaxPool2d(kernel_size=3, stride=2, padding=1))

    def forward(self, images: Tensor) -> Tensor:
        """Map images [B, C, S, S] to tokens [B, N, D]."""
        refuse_other_images(images, self.image_shape)
        grid: Tensor = self.convs(images)  # [B, D, S/P, S/P]
        return grid.flatten(2).transpose(1, 2)  # [B, N, D]

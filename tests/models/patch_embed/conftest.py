"""What every patch embedding is held to."""

import pytest
import torch


@pytest.fixture
def is_a_patch_embedding(gradients):
    """``is_a_patch_embedding(kind, image, patch)``: shapes, gradients, and other images refused."""

    def check(kind, image, patch, channels=3):
        embed = kind(image, patch, channels, 16)
        grid = image // patch
        assert embed.grid_size == (grid, grid)
        assert embed(torch.randn(4, channels, image, image)).shape == (4, grid * grid, 16)
        assert gradients(embed, torch.randn(4, channels, image, image)) == []
        for shape in ((channels, image + 1, image + 1), (channels + 1, image, image), (channels, image, 2 * image)):
            with pytest.raises(ValueError, match="do not fit a model"):
                embed(torch.zeros(1, *shape))
        with pytest.raises(ValueError, match="patch_size=5 does not divide image_size=32"):
            kind(32, 5, channels, 16)

    return check

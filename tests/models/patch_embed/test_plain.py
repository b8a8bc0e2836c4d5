import pytest
import torch

from vitlab.models.patch_embed.plain import ConvPatchEmbed, LinearPatchEmbed

KINDS = [ConvPatchEmbed, LinearPatchEmbed]


@pytest.mark.parametrize(("image", "patch", "channels"), [(8, 2, 1), (32, 4, 3), (28, 7, 1), (6, 6, 3)])
def test_convolution_and_linear_layer_are_the_same_map(image, patch, channels):
    conv, linear = ConvPatchEmbed(image, patch, channels, 10), LinearPatchEmbed(image, patch, channels, 10)
    linear.proj.weight.data = conv.proj.weight.data.flatten(1)
    linear.proj.bias.data = conv.proj.bias.data
    images = torch.randn(2, channels, image, image)
    assert torch.allclose(conv(images), linear(images), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_each_token_sees_its_own_patch_row_by_row(kind):
    embed = kind(6, 2, 1, 4)
    image = torch.zeros(1, 1, 6, 6)
    blank = embed(image)
    image[0, 0, 2, 5] = 1.0  # second row of patches, third column
    changed = (embed(image) != blank).any(dim=2)[0]
    assert changed.nonzero().flatten().tolist() == [5]
    assert embed.grid_size == (3, 3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(3, 9, 9), (3, 8, 10), (3, 16, 16), (1, 8, 8)], ids=str)
def test_images_of_another_size_are_refused_before_their_edge_is_lost(kind, shape):
    with pytest.raises(ValueError, match=rf"images \[{', '.join(map(str, shape))}\].*for images \[3, 8, 8\]"):
        kind(8, 2, 3, 4)(torch.zeros(2, *shape))

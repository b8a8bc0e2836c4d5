import pytest
import torch
from timm.models.pvt_v2 import OverlapPatchEmbed as TimmOverlap

from vitlab.models.patch_embed.overlap import OverlapPatchEmbed


@pytest.mark.parametrize(("image", "patch"), [(8, 1), (8, 2), (28, 4), (32, 8)])
def test_it_is_a_patch_embedding(is_a_patch_embedding, image, patch):
    is_a_patch_embedding(OverlapPatchEmbed, image, patch)


def test_it_is_timm_s_before_the_norm():
    reference = TimmOverlap(patch_size=7, stride=4, in_chans=3, embed_dim=8)
    embed = OverlapPatchEmbed(32, 4, 3, 8)
    embed.proj.load_state_dict(reference.proj.state_dict())
    images = torch.randn(2, 3, 32, 32)
    expected = reference.proj(images).flatten(2).transpose(1, 2)
    assert torch.allclose(embed(images), expected, atol=1e-6)


def test_a_token_sees_into_its_neighbours():
    embed, image = OverlapPatchEmbed(6, 2, 1, 4), torch.zeros(1, 1, 6, 6)
    blank = embed(image)
    image[0, 0, 2, 3] = 1.0  # second row of patches, second column
    assert (embed(image) != blank).any(dim=2)[0].sum() > 1


@pytest.mark.parametrize("kernel", [3, 4, 5, 6, 9])
def test_any_larger_kernel_keeps_the_grid(kernel):
    assert OverlapPatchEmbed(8, 2, 1, 4, kernel_size=kernel)(torch.zeros(1, 1, 8, 8)).shape == (1, 16, 4)


@pytest.mark.parametrize(("patch", "kernel", "near"), [(4, 3, 7), (4, 4, 7), (1, 2, 3), (1, 0, 3)])
def test_a_kernel_that_breaks_the_grid_is_refused(patch, kernel, near):
    with pytest.raises(ValueError, match=f"kernel_size={kernel} gives no token.*try {near}"):
        OverlapPatchEmbed(8, patch, 1, 4, kernel_size=kernel)

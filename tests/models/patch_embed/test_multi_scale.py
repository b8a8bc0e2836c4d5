import pytest
import torch

from vitlab.models.patch_embed.multi_scale import MultiScalePatchEmbed
from vitlab.models.patch_embed.plain import ConvPatchEmbed


@pytest.mark.parametrize(("image", "patch"), [(8, 2), (28, 7), (32, 4)])
def test_it_is_a_patch_embedding(is_a_patch_embedding, image, patch):
    is_a_patch_embedding(MultiScalePatchEmbed, image, patch)


def test_a_token_is_its_own_patch_and_the_larger_one_around_it():
    embed, images = MultiScalePatchEmbed(8, 2, 3, 4), torch.randn(2, 3, 8, 8)
    fine, coarse = ConvPatchEmbed(8, 2, 3, 4), ConvPatchEmbed(8, 4, 3, 4)
    fine.proj.load_state_dict(embed.fine.state_dict())
    coarse.proj.load_state_dict(embed.coarse.state_dict())
    out = embed(images)
    for row in range(4):
        for column in range(4):
            expected = fine(images)[:, row * 4 + column] + coarse(images)[:, (row // 2) * 2 + column // 2]
            assert torch.allclose(out[:, row * 4 + column], expected, atol=1e-6)


@pytest.mark.parametrize(("coarse", "near"), [(3, "try 2 or 4"), (0, "try 1"), (8, "try 4")])
def test_coarse_patches_that_do_not_divide_the_grid_are_refused(coarse, near):
    with pytest.raises(ValueError, match=f"coarse={coarse} does not divide the grid 4x4; {near}"):
        MultiScalePatchEmbed(8, 2, 3, 4, coarse=coarse)

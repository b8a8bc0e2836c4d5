import pytest
import torch

from vitlab.models.patch_embed.shifted import ShiftedPatchEmbed


@pytest.mark.parametrize(("image", "patch"), [(8, 2), (28, 4), (27, 3)])
def test_it_is_a_patch_embedding(is_a_patch_embedding, image, patch):
    is_a_patch_embedding(ShiftedPatchEmbed, image, patch)


def test_a_token_sees_its_patch_and_four_moved_by_half_a_patch():
    embed, image = ShiftedPatchEmbed(8, 4, 1, 80), torch.randn(1, 1, 8, 8)
    embed.norm = torch.nn.Identity()
    embed.proj.weight.data, embed.proj.bias.data = torch.eye(80), torch.zeros(80)

    def pixel(row, column):
        return image[0, 0, row, column].item() if 0 <= row < 8 and 0 <= column < 8 else 0.0

    for patch, (top, left) in enumerate([(0, 0), (0, 4), (4, 0), (4, 4)]):
        seen = embed(image)[0, patch].view(5, 4, 4)
        for view, (down, right) in enumerate([(0, 0), (-2, -2), (-2, 2), (2, -2), (2, 2)]):
            expected = [[pixel(top + down + r, left + right + c) for c in range(4)] for r in range(4)]
            assert torch.allclose(seen[view], torch.tensor(expected))


def test_a_single_pixel_has_no_half():
    with pytest.raises(ValueError, match="patch_size=1 has none; try 2"):
        ShiftedPatchEmbed(8, 1, 1, 4)

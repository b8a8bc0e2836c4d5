import pytest
import timm.layers
import torch

from vitlab.models.patch_embed.flexi import FlexiPatchEmbed, pseudo_inverse_resize
from vitlab.models.patch_embed.plain import ConvPatchEmbed


@pytest.mark.parametrize(("image", "patch"), [(8, 2), (28, 7), (32, 4), (32, 8), (32, 16)])
def test_it_is_a_patch_embedding(is_a_patch_embedding, image, patch):
    is_a_patch_embedding(FlexiPatchEmbed, image, patch)


@pytest.mark.parametrize("patch", [2, 4, 8, 16])
def test_weights_are_resized_as_timm_s(patch):
    embed, images = FlexiPatchEmbed(32, patch, 3, 6), torch.randn(2, 3, 32, 32)
    plain = ConvPatchEmbed(32, patch, 3, 6)
    plain.proj.weight.data = timm.layers.resample_patch_embed(
        embed.proj.weight.data, [patch, patch], interpolation="bilinear", antialias=True
    )
    plain.proj.bias = embed.proj.bias
    assert torch.allclose(embed(images), plain(images), atol=1e-5)


def test_a_patch_that_is_enlarged_keeps_its_token():
    patch, weight = torch.randn(1, 1, 4, 4), torch.randn(16)
    larger = torch.nn.functional.interpolate(patch, (8, 8), mode="bilinear", antialias=True)
    resized = pseudo_inverse_resize(4, 8) @ weight
    assert (larger.flatten() @ resized).item() == pytest.approx((patch.flatten() @ weight).item(), abs=1e-4)


def test_at_its_base_size_the_weights_are_as_they_are():
    assert torch.allclose(pseudo_inverse_resize(8, 8), torch.eye(64), atol=1e-5)


def test_one_set_of_weights_serves_every_patch_size():
    state = FlexiPatchEmbed(32, 8, 3, 6).state_dict()
    for patch in (2, 4, 16):
        FlexiPatchEmbed(32, patch, 3, 6).load_state_dict(state)


def test_a_base_of_nothing_is_refused():
    with pytest.raises(ValueError, match="base_patch_size=0 is not positive; try 4"):
        FlexiPatchEmbed(32, 4, 3, 6, base_patch_size=0)

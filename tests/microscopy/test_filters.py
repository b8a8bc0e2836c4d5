import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch.nn import functional as F

from vitlab.microscopy.filters import pixel_filters, principal_filters
from vitlab.models.patch_embed.conv_stem import ConvStem, ConvTokenizer
from vitlab.models.patch_embed.flexi import FlexiPatchEmbed
from vitlab.models.patch_embed.multi_scale import MultiScalePatchEmbed
from vitlab.models.patch_embed.overlap import OverlapPatchEmbed
from vitlab.models.patch_embed.plain import ConvPatchEmbed, LinearPatchEmbed
from vitlab.models.patch_embed.shifted import ShiftedPatchEmbed

SIZES = {"image_size": 16, "patch_size": 4, "channels": 3, "embed_dim": 70}


def test_filters_of_a_convolution_are_its_weights():
    embed = ConvPatchEmbed(**SIZES)
    assert torch.allclose(pixel_filters(embed, 3, 16), embed.proj.weight)
    overlap = OverlapPatchEmbed(**SIZES)
    assert torch.allclose(pixel_filters(overlap, 3, 16), overlap.proj.weight)


def test_filters_of_a_linear_layer_are_its_rows():
    embed = LinearPatchEmbed(**SIZES)
    assert torch.allclose(pixel_filters(embed, 3, 16), embed.proj.weight.view(70, 3, 4, 4))


def test_filters_of_other_sums_of_pixels_are_found_too():
    embed = MultiScalePatchEmbed(**SIZES)
    expected = embed.coarse.weight + F.pad(embed.fine.weight, (0, 4, 0, 4))  # the middle token is the first of four
    assert torch.allclose(pixel_filters(embed, 3, 16), expected, atol=1e-6)
    flexi = FlexiPatchEmbed(**SIZES)
    assert pixel_filters(flexi, 3, 16).shape == (70, 3, 4, 4)


@pytest.mark.parametrize("kind", [ConvStem, ConvTokenizer, ShiftedPatchEmbed])
def test_where_more_than_a_sum_lies_between_there_are_none(kind):
    assert principal_filters(kind(**SIZES).eval(), 3, 16) is None


def test_the_components_are_scikit_learn_s():
    embed = ConvPatchEmbed(**SIZES)
    found = principal_filters(embed, 3, 16)
    reference = PCA().fit(embed.proj.weight.detach().flatten(1).double().numpy())
    assert np.allclose(found.variance, reference.explained_variance_ratio_, atol=1e-5)
    cosines = (found.components[:5].flatten(1).numpy() * reference.components_[:5]).sum(axis=1)
    assert np.allclose(np.abs(cosines), 1, atol=1e-4)
    assert found.components.shape[1:] == (3, 4, 4)


def test_filters_of_zeros_have_no_variance():
    embed = ConvPatchEmbed(**SIZES)
    torch.nn.init.zeros_(embed.proj.weight)
    assert principal_filters(embed, 3, 16).variance.sum() == 0

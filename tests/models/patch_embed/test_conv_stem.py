import pytest
import torch
from torch import nn
from vit_pytorch.cct import Tokenizer

from vitlab.models.patch_embed.conv_stem import ConvStem, ConvTokenizer


@pytest.mark.parametrize("kind", [ConvStem, ConvTokenizer])
@pytest.mark.parametrize(("image", "patch"), [(8, 2), (28, 4), (32, 8), (32, 16)])
def test_they_are_patch_embeddings(is_a_patch_embedding, kind, image, patch):
    is_a_patch_embedding(kind, image, patch)


@pytest.mark.parametrize("patch", [4, 8])
def test_the_tokenizer_equals_that_of_vit_pytorch(patch):
    steps = {4: 2, 8: 3}[patch]
    reference = Tokenizer(
        kernel_size=3, stride=1, padding=1, pooling_stride=2, n_conv_layers=steps, n_input_channels=3,
        n_output_channels=16, in_planes=64, activation=nn.ReLU, conv_bias=False,
    )  # fmt: skip
    embed = ConvTokenizer(32, patch, 3, 16)
    theirs = [m for m in reference.modules() if isinstance(m, nn.Conv2d)]
    ours = [m for m in embed.modules() if isinstance(m, nn.Conv2d)]
    for a, b in zip(ours, theirs, strict=True):
        a.load_state_dict(b.state_dict())
    images = torch.randn(2, 3, 32, 32)
    assert torch.allclose(embed(images), reference(images), atol=1e-5)


def test_the_stem_halves_with_doubling_channels_and_ends_in_one_by_one():
    convs = [m for m in ConvStem(32, 8, 3, 64).modules() if isinstance(m, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels) for c in convs] == [(3, 8), (8, 16), (16, 32), (32, 64)]
    assert [c.kernel_size[0] for c in convs] == [3, 3, 3, 1]
    assert [c.stride[0] for c in convs] == [2, 2, 2, 1]


@pytest.mark.parametrize(("kind", "name"), [(ConvStem, "conv_stem"), (ConvTokenizer, "cct")])
def test_a_patch_that_halving_does_not_reach_is_refused(kind, name):
    with pytest.raises(
        ValueError, match=f"patch_embed={name} halves the image, so patch_size=7.*try patch_size=2 or 4"
    ):
        kind(28, 7, 1, 8)


def test_a_single_patch_is_refused_for_the_sake_of_batch_norm():
    with pytest.raises(ValueError, match="more than one patch; try patch_size=4"):
        ConvStem(8, 8, 3, 16)

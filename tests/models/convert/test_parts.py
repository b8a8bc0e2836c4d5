import pytest
import torch

from vitlab.models.attention.linear import LinearAttention
from vitlab.models.block import ParallelBlock
from vitlab.models.convert.parts import Sizes, refuse_parts, sizes_of, state_with_positions
from vitlab.models.mlp import SwigluMlp
from vitlab.models.mup import mup
from vitlab.models.norm import DynamicTanh
from vitlab.models.patch_embed.plain import LinearPatchEmbed
from vitlab.models.patch_embed.shifted import ShiftedPatchEmbed
from vitlab.models.pool import AttentionPool
from vitlab.models.position.absolute import Sincos2dPosition
from vitlab.models.position.relative_bias import RelativeBiasPosition


@pytest.mark.parametrize("library", ["timm", "torchvision", "Hugging Face"])
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"position": RelativeBiasPosition},
            "RelativeBiasPosition; .*model/position=learned or model/position=sincos_2d",
        ),
        ({"attention": LinearAttention}, "LinearAttention; .*model/attention=full"),
        ({"block": ParallelBlock}, "ParallelBlock; .*model/block=pre_norm"),
        ({"norm": DynamicTanh}, "DynamicTanh; .*model/norm=layer"),
        ({"pool": AttentionPool}, "AttentionPool; .*model/pool=cls"),
        ({"patch_embed": ShiftedPatchEmbed}, "ShiftedPatchEmbed; .*model/patch_embed=conv or model/patch_embed=linear"),
        ({"depthwise_shortcut": True}, "depthwise_shortcut; .*model.depthwise_shortcut=false"),
        ({"init": mup}, "scales of init=mup; .*model/init=trunc_normal"),
        ({"gated": True}, "gated attention; .*model.attention.gated=false"),
        ({"num_kv_heads": 1}, "num_kv_heads=1; .*model.attention.num_kv_heads=null"),
    ],
)
def test_a_part_that_no_library_has_is_refused_with_the_options_in_its_place(vit, library, settings, message):
    with pytest.raises(ValueError, match=f"{library} has no {message}"):
        refuse_parts(vit(**settings), library)


def test_the_sizes_are_those_of_the_model(vit):
    model = vit(num_registers=2, layer_scale=0.1, qk_norm=True, mlp=SwigluMlp)
    assert sizes_of(model) == Sizes(32, 8, 3, 5, 48, 2, 3, 128, 2, 1e-6, True, True, True, True)
    plain = vit(channels=1, image_size=16, patch_size=4, qkv_bias=False)
    assert sizes_of(plain) == Sizes(16, 4, 1, 5, 48, 2, 3, 192, 0, 1e-6, False, False, False, False)


def test_computed_positions_and_linear_patches_are_written_out(vit):
    model = vit(position=Sincos2dPosition, patch_embed=LinearPatchEmbed)
    state = state_with_positions(model)
    assert torch.equal(state["position.embedding"], model.position.embedding)
    assert state["patch_embed.proj.weight"].shape == (48, 3, 8, 8)


def test_the_model_s_own_weights_are_left_alone(vit):
    model = vit()
    state_with_positions(model)["norm.weight"].zero_()
    assert torch.equal(model.norm.weight, torch.ones(48))

import pytest
import timm
import torch
import torchvision
import transformers
from references import (
    HUGGING_FACE,
    TIMM,
    assert_same,
    hugging_face_attention,
    hugging_face_reference,
    randomise,
    timm_attention,
    timm_reference,
    torchvision_attention,
    torchvision_reference,
)
from safetensors.torch import load_file, save_file

from vitlab.models.convert.layouts import from_library
from vitlab.models.convert.outward import to_hugging_face, to_timm, to_torchvision
from vitlab.models.mlp import SwigluMlp
from vitlab.models.norm import LayerNorm, RmsNorm
from vitlab.models.patch_embed.plain import LinearPatchEmbed
from vitlab.models.pool import ClsMeanPool, MeanPool
from vitlab.models.position.absolute import NoPosition, Sincos2dPosition

SHARED = {
    "plain": {},
    "other image": {"image_size": 48},
    "linear patches": {"patch_embed": LinearPatchEmbed},
    "no_qkv_bias": {"qkv_bias": False},
    "sincos_2d": {"position": Sincos2dPosition},
    "no positions": {"position": NoPosition},
    "mean": {"pool": MeanPool},
    "cls before norm": {"pool_before_norm": True},
    "distilled": {"distillation_token": True},
    "layer_scale": {"layer_scale": 1e-5},
    "registers": {"num_registers": 3},
    "swiglu": {"mlp": SwigluMlp},
    "grey": {"channels": 1},
    "all": {"num_registers": 3, "layer_scale": 1e-5, "mlp": SwigluMlp, "pool": MeanPool},
}
FOR_TIMM = {
    **SHARED,
    "fc_norm": {"pool": MeanPool, "pool_before_norm": True},
    "no class token": {"pool": MeanPool, "class_token": False},
    "no class token, registers": {"pool": MeanPool, "class_token": False, "num_registers": 2},
    "qk_norm": {"qk_norm": True},
    "rms": {"norm": RmsNorm},
    "eps 1e-5": {"norm": lambda width: LayerNorm(width, eps=1e-5)},
    "uneven mlp": {"mlp_ratio": 2.7},
}
FOR_HUGGING_FACE = {
    **SHARED,
    "eps 1e-12": {"norm": lambda width: LayerNorm(width, eps=1e-12)},
    "cls_mean": {"pool": ClsMeanPool},
    "uneven mlp": {"mlp_ratio": 2.7},
    "swiglu of ratio 3": {"mlp": SwigluMlp, "mlp_ratio": 3},
}
# timm gives registers positions, has no positions at all, or scales no gated branch: written in another way here.
NO_WAY_BACK = ("registers", "no_positions", "swiglu")
FOR_TORCHVISION = {kind: SHARED[kind] for kind in ("plain", "other image", "linear patches", "sincos_2d")}


@pytest.fixture
def random_vit(vit):
    return lambda **settings: randomise(vit(**settings))


def images_for(model):
    return torch.randn(3, *model.patch_embed.image_shape, generator=torch.Generator().manual_seed(2))


def in_timm(outward):
    reference = timm.create_model(outward.architecture, **outward.settings).eval()
    reference.load_state_dict(outward.state)
    return reference


@pytest.mark.parametrize("settings", FOR_TIMM.values(), ids=FOR_TIMM)
def test_timm_computes_the_same(random_vit, settings):
    model = random_vit(**settings)
    images = images_for(model)
    assert_same(model, images, *timm_attention(in_timm(to_timm(model)), images))


@pytest.mark.parametrize("settings", FOR_HUGGING_FACE.values(), ids=FOR_HUGGING_FACE)
def test_hugging_face_computes_the_same(random_vit, settings, tmp_path):
    model = random_vit(**settings)
    images = images_for(model)
    outward = to_hugging_face(model)
    cls = getattr(transformers, outward.architecture)
    cls.config_class(**outward.settings).save_pretrained(tmp_path)
    save_file({k: v.contiguous().clone() for k, v in outward.state.items()}, tmp_path / "model.safetensors")
    reference, report = cls.from_pretrained(tmp_path, attn_implementation="eager", output_loading_info=True)
    assert not any(report.values())
    assert_same(model, images, *hugging_face_attention(reference.eval(), images))


@pytest.mark.parametrize("settings", FOR_TORCHVISION.values(), ids=FOR_TORCHVISION)
def test_torchvision_computes_the_same(random_vit, settings):
    model = random_vit(**settings)
    images = images_for(model)
    outward = to_torchvision(model)
    reference = torchvision.models.VisionTransformer(**outward.settings).eval()
    reference.load_state_dict(outward.state)
    assert_same(model, images, *torchvision_attention(reference, images))


@pytest.mark.parametrize(
    ("to", "reference"),
    [
        *((to_timm, lambda kind=kind: timm_reference(kind)) for kind in TIMM if kind not in NO_WAY_BACK),
        *((to_hugging_face, lambda kind=kind: hugging_face_reference(kind)) for kind in HUGGING_FACE),
        (to_torchvision, lambda: (torchvision_reference(), {})),
    ],
)
def test_there_and_back_gives_the_library_s_own_tensors(vit, tmp_path, to, reference):
    theirs, settings = reference()
    if to is to_hugging_face:
        theirs.save_pretrained(tmp_path)
        file = str(tmp_path)
        wanted = load_file(tmp_path / "model.safetensors")
    else:
        wanted = theirs.state_dict()
        file = str(tmp_path / "weights.pt")
        torch.save(wanted, file)
    given = to(vit(weights=file, **settings)).state
    assert given.keys() == wanted.keys()
    for name, tensor in given.items():
        if "mask_token" not in name:
            assert torch.equal(tensor, wanted[name]), name


@pytest.mark.parametrize("to", [to_timm, to_hugging_face, to_torchvision])
def test_back_and_there_gives_our_own_tensors(random_vit, to):
    model = random_vit()
    back = from_library(to(model).state, model.layout.num_patches).state
    own = model.state_dict()
    assert back.keys() == own.keys()
    assert all(torch.equal(back[name], own[name]) for name in own)


@pytest.mark.parametrize("mlp_ratio", [0.65, 1, 2.1, 2.7, 3.99])
def test_timm_s_ratio_gives_the_width_back(vit, mlp_ratio):
    model = vit(mlp_ratio=mlp_ratio)
    reference = in_timm(to_timm(model))
    assert reference.blocks[0].mlp.fc1.out_features == model.blocks[0].mlp.fc1.out_features


@pytest.mark.parametrize(
    ("to", "settings", "message"),
    [
        (to_timm, {"pool": ClsMeanPool}, r"timm has no ClsMeanPool; .* model/pool=cls or model/pool=mean"),
        (to_timm, {"norm": lambda width: LayerNorm(width, eps=1e-12)}, r"timm has no norm\.eps=1e-12 here.*1e-6"),
        (to_timm, {"distillation_token": True, "num_registers": 2}, r"with registers; .* model\.num_registers=0"),
        (to_timm, {"distillation_token": True, "mlp": SwigluMlp}, r"with swiglu; .* model/mlp=gelu"),
        (to_timm, {"distillation_token": True, "pool": MeanPool}, r"with the mean; .* model/pool=cls"),
        (to_timm, {"qk_norm": True, "norm": RmsNorm}, r"qk_norm=true with this norm"),
        (to_hugging_face, {"norm": RmsNorm}, r"Hugging Face has no RmsNorm; .* model/norm=layer"),
        (to_hugging_face, {"qk_norm": True}, r"no qk_norm=true; .* model\.attention\.qk_norm=false"),
        (to_hugging_face, {"class_token": False, "pool": MeanPool}, r"no class_token=false; .*class_token=true"),
        (to_hugging_face, {"pool": MeanPool, "pool_before_norm": True}, r"no pool_before_norm=true"),
        (to_hugging_face, {"distillation_token": True, "layer_scale": 0.1}, r"model\.layer_scale=null"),
        (
            to_hugging_face,
            {"pool": MeanPool, "mlp_ratio": 2.7},
            r"DINOv2 with an MLP of 129; .* whole model\.mlp_ratio",
        ),
        (to_torchvision, {"num_registers": 2}, r"torchvision has no num_registers=2; .* model\.num_registers=0"),
        (to_torchvision, {"channels": 1}, r"torchvision has no images of 1 channels"),
        (to_torchvision, {"layer_scale": 0.1}, r"no layer_scale; .* model\.layer_scale=null"),
        (to_torchvision, {"qkv_bias": False}, r"no qkv_bias=false"),
        (to_torchvision, {"distillation_token": True}, r"no distillation_token=true"),
        (to_torchvision, {"norm": lambda width: LayerNorm(width, eps=1e-5)}, r"no norm\.eps=1e-05 by default"),
    ],
)
def test_parts_that_a_library_lacks_are_refused_by_name(vit, to, settings, message):
    with pytest.raises(ValueError, match=message):
        to(vit(**settings))

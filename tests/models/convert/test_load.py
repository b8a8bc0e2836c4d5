import copy
import re

import pytest
import timm
import torch
import torchvision
from references import (
    CLASSES,
    HUGGING_FACE,
    IMAGE,
    PATCH,
    TIMM,
    WIDTH,
    assert_same,
    close,
    hugging_face_attention,
    hugging_face_reference,
    timm_attention,
    timm_reference,
    torchvision_attention,
    torchvision_reference,
)
from safetensors.torch import save_file

from vitlab.models.convert import load_weights
from vitlab.models.mlp import SwigluMlp
from vitlab.models.mup import mup
from vitlab.models.norm import LayerNorm
from vitlab.models.patch_embed.plain import LinearPatchEmbed
from vitlab.models.pool import ClsMeanPool, MeanPool
from vitlab.models.position.absolute import Sincos2dPosition
from vitlab.models.position.relative_bias import RelativeBiasPosition

IMAGES = torch.randn(3, 3, IMAGE, IMAGE, generator=torch.Generator().manual_seed(2))
LARGER = torch.randn(3, 3, 48, 48, generator=torch.Generator().manual_seed(3))
SMALLER = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(4))


@pytest.fixture
def saved(tmp_path):
    """``saved(model)``: its state dict as a file."""

    def save(state, name="weights.safetensors"):
        state = state.state_dict() if isinstance(state, torch.nn.Module) else state
        path = tmp_path / name
        if path.suffix == ".safetensors":
            save_file({key: value.contiguous().clone() for key, value in state.items()}, path)
        else:
            torch.save(state, path)
        return str(path)

    return save


@pytest.mark.parametrize("kind", TIMM)
@pytest.mark.parametrize("images", [IMAGES, LARGER, SMALLER], ids=["trained", "larger", "smaller"])
def test_timm_s_logits_and_attention(vit, saved, kind, images):
    reference, settings = timm_reference(kind)
    file = saved(reference)
    if images is not IMAGES:
        reference.set_input_size((images.shape[-1],) * 2)
    model = vit(image_size=images.shape[-1], weights=file, **settings)
    assert_same(model, images, *timm_attention(reference, images))
    assert "timm" in model.loaded or kind == "no_positions"


@pytest.mark.parametrize("images", [IMAGES, LARGER, SMALLER], ids=["trained", "larger", "smaller"])
def test_torchvision_s_logits_and_attention(vit, saved, images):
    reference = torchvision_reference()
    file = saved(reference, "weights.pth")
    size = images.shape[-1]
    if size != IMAGE:
        state = torchvision.models.vision_transformer.interpolate_embeddings(size, PATCH, reference.state_dict())
        reference = torchvision_reference(image_size=size)
        reference.load_state_dict(state)
    assert_same(vit(image_size=size, weights=file), images, *torchvision_attention(reference, images))


@pytest.mark.parametrize("kind", HUGGING_FACE)
@pytest.mark.parametrize("images", [IMAGES, LARGER, SMALLER], ids=["trained", "larger", "smaller"])
@pytest.mark.parametrize("names", ["on disk", "in memory"])
def test_hugging_face_s_logits_and_attention(vit, saved, tmp_path, kind, images, names):
    reference, settings = hugging_face_reference(kind)
    if names == "on disk":
        reference.save_pretrained(tmp_path / "model")
        file = str(tmp_path / "model")
    else:
        file = saved(reference)
    how = {} if "Dinov2" in kind else {"interpolate_pos_encoding": True}
    model = vit(image_size=images.shape[-1], weights=file, **settings)
    assert_same(model, images, *hugging_face_attention(reference, images, **how))
    assert "Hugging Face" in model.loaded


def test_a_real_size_agrees_too(saved, make_vit):
    """ViT-Ti/16 at 224 px as timm and DeiT have it."""
    reference = timm.create_model("deit_tiny_patch16_224", num_classes=10).eval()
    file = saved({"model": reference.state_dict()}, "deit.pth")
    sizes = {"image_size": 224, "patch_size": 16, "embed_dim": 192, "depth": 12, "num_heads": 3, "num_classes": 10}
    images = torch.randn(1, 3, 224, 224)
    assert_same(make_vit(**sizes, weights=file).eval(), images, *timm_attention(reference, images))


@pytest.mark.parametrize("registers", [0, 4])
def test_meta_s_dinov2_is_read_as_timm_reads_it(vit, saved, registers):
    kind = "dinov2" if registers else "layer_scale"
    reference, settings = timm_reference(kind, mlp_layer=timm.layers.SwiGLUPacked, mlp_ratio=2 * 128.01 / WIDTH)
    generator = torch.Generator().manual_seed(5)
    meta = {}
    for name, tensor in reference.state_dict().items():
        for theirs, ours in (("mlp.fc1", "mlp.w12"), ("mlp.fc2", "mlp.w3"), ("reg_token", "register_tokens")):
            name = name.replace(theirs, ours)
        meta[name.replace("blocks.1.", "blocks.0.1.")] = tensor
    positions = (IMAGE // PATCH) ** 2 + 1
    meta["pos_embed"] = torch.randn(1, positions, WIDTH, generator=generator)
    meta["mask_token"] = torch.zeros(1, WIDTH)
    file = saved({f"module.{name}": tensor for name, tensor in meta.items()})
    flat = {name.replace("blocks.0.1.", "blocks.1."): tensor for name, tensor in meta.items()}
    reference.load_state_dict(timm.models.vision_transformer.checkpoint_filter_fn(copy.copy(flat), reference))
    settings = {**settings, "mlp": SwigluMlp}
    with torch.no_grad():
        reference.blocks[0].mlp.act = torch.nn.SiLU()
        for block in reference.blocks:
            block.mlp.act = torch.nn.SiLU()
    assert_same(vit(weights=file, **settings), IMAGES, *timm_attention(reference, IMAGES))


@pytest.mark.parametrize("image", [IMAGE, 48])
def test_one_s_own_weights_come_back(vit, saved, image):
    settings = {"num_registers": 2, "layer_scale": 0.1, "distillation_token": True}
    model = vit(**settings)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    other = vit(image_size=image, weights=saved(model, "weights.pt"), **settings)
    if image == IMAGE:
        assert torch.equal(other(IMAGES), model(IMAGES))
        assert "vitlab layout" in other.loaded
    else:
        expected = timm.layers.resample_abs_pos_embed(model.position.embedding, [6, 6], num_prefix_tokens=2)
        assert torch.allclose(other.position.embedding, expected, atol=1e-6)
        assert "positions resized from 4x4 to 6x6" in other.loaded


def test_a_checkpoint_of_a_run_gives_what_evaluate_takes(vit, tmp_path):
    plain, averaged = vit(), vit()
    (tmp_path / "checkpoints").mkdir()
    file = tmp_path / "checkpoints" / "best.pt"
    (tmp_path / "config.yaml").write_text("model: {num_heads: 3}\n")
    state = {"step": 3, "model": plain.state_dict(), "ema": {"n_averaged": 2, "model": averaged.state_dict()}}
    torch.save(state, file)
    assert torch.equal(vit(weights=str(file))(IMAGES), averaged(IMAGES))
    torch.save({**state, "ema": None}, file)
    assert torch.equal(vit(weights=str(file))(IMAGES), plain(IMAGES))
    with pytest.raises(ValueError, match=r"heads +3 +4 +model\.num_heads=3"):
        vit(num_heads=4, weights=str(file))


def test_a_linear_patch_embedding_takes_a_convolution_s_weights(vit, saved):
    reference, _ = timm_reference("plain")
    model = vit(patch_embed=LinearPatchEmbed, weights=saved(reference))
    assert close(model(IMAGES), reference(IMAGES))


def test_half_precision_is_read_into_float32(vit, saved):
    reference, _ = timm_reference("plain")
    model = vit(weights=saved(reference.to(torch.bfloat16)), image_size=48)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert torch.equal(model.norm.weight, reference.norm.weight.float())


@pytest.mark.parametrize("classes", [CLASSES, 7])
def test_another_number_of_classes_replaces_the_head_and_nothing_else(vit, saved, classes):
    reference, settings = timm_reference("distilled")
    model = vit(num_classes=classes, weights=saved(reference), **settings)
    assert torch.equal(model.blocks[1].mlp.fc2.weight, reference.blocks[1].mlp.fc2.weight)
    assert model.head.weight.shape == (classes, WIDTH)
    if classes == CLASSES:
        assert torch.equal(model.head_dist.weight, reference.head_dist.weight)
        assert "head" not in model.loaded
    else:
        assert "head replaced (5 classes in the file, 7 here)" in model.loaded


@pytest.mark.parametrize("kind", ["ViTModel", "Dinov2Model"])
def test_a_model_without_a_head_leaves_ours_new(vit, saved, kind):
    import transformers

    full, settings = hugging_face_reference("ViT" if kind == "ViTModel" else "Dinov2")
    config = full.config
    backbone = getattr(transformers, kind)(config)
    model = vit(weights=saved(backbone), **settings)
    assert "head new (5 classes; the file has none)" in model.loaded
    assert torch.equal(model.norm.weight, backbone.layernorm.weight)


def test_norms_of_another_eps_are_told(vit, tmp_path):
    reference, _ = hugging_face_reference("ViT", layer_norm_eps=1e-12)
    reference.save_pretrained(tmp_path / "model")
    told = "norms have eps 1e-12 in the file and 1e-06 here (model.norm.eps=1e-12)"
    assert told in vit(weights=str(tmp_path / "model")).loaded
    exact = vit(weights=str(tmp_path / "model"), norm=lambda width: LayerNorm(width, eps=1e-12))
    assert "norms have" not in exact.loaded
    assert_same(exact, IMAGES, *hugging_face_attention(reference, IMAGES))


@pytest.mark.parametrize(
    ("kind", "here", "lines"),
    [
        ("plain", {"embed_dim": 24}, [r"cls_token and \d+ more +1x1x48 +1x1x24 +model\.embed_dim=48"]),
        ("plain", {"depth": 3}, [r"blocks\.2\.norm1\.weight and 11 more +none +48 +model\.depth=2"]),
        ("plain", {"depth": 1}, [r"blocks\.1\.attn\.proj\.bias and 11 more +48 +none +model\.depth=2"]),
        ("plain", {"patch_size": 4}, [r"patch_embed\.proj\.weight +48x3x8x8 +48x3x4x4 +model\.patch_size=8"]),
        ("plain", {"channels": 1}, [r"patch_embed\.proj\.weight +48x3x8x8 +48x1x8x8 +images of 3 channels"]),
        ("plain", {"mlp_ratio": 2}, [r"mlp\.fc1\.weight and \d more +192x48 +96x48 +model\.mlp_ratio=4"]),
        ("plain", {"mlp": SwigluMlp}, [r"model/mlp=gelu"]),
        ("swiglu", {}, [r"model/mlp=swiglu"]),
        ("layer_scale", {}, [r"blocks\.0\.ls1\.gamma and 3 more +48 +none +model\.layer_scale=1\.0e-5"]),
        ("plain", {"layer_scale": 1e-5}, [r"ls1\.gamma and 3 more +none +48 +model\.layer_scale=null"]),
        ("registers", {}, [r"registers +1x4x48 +none +model\.num_registers=4"]),
        ("registers", {"num_registers": 2}, [r"registers +1x4x48 +1x2x48 +model\.num_registers=4"]),
        ("plain", {"num_registers": 2}, [r"registers +none +1x2x48 +model\.num_registers=0"]),
        ("distilled", {}, [r"dist_token and 2 more +1x1x48 +none +model\.distillation_token=true"]),
        ("qk_norm", {}, [r"k_norm\.bias and 7 more +16 +none +model\.attention\.qk_norm=true"]),
        ("no_qkv_bias", {"qkv_bias": True}, [r"qkv\.bias and 1 more +none +144 +model\.attention\.qkv_bias=false"]),
        ("plain", {"pool": MeanPool, "class_token": False}, [r"cls_token +1x1x48 +none +model\.class_token=true"]),
        ("plain", {"pool": ClsMeanPool}, [r"head\.weight +5x48 +5x96 +model/pool=cls"]),
        ("plain", {"position": Sincos2dPosition}, [r"position\.embedding +1x17x48 +none +model/position=learned"]),
        ("fc_norm", {"pool_before_norm": False}, [r"norm +after the pool +before it +model\.pool_before_norm=true"]),
        ("mean", {"pool_before_norm": True}, [r"norm +before the pool +after it +model\.pool_before_norm=false"]),
        ("plain", {"init": mup}, [r"model/init=trunc_normal"]),
    ],
)
def test_what_does_not_fit_is_a_table_with_the_setting_to_change(vit, saved, kind, here, lines):
    reference, settings = timm_reference(kind)
    file = saved(reference)
    for key in ("layer_scale", "num_registers", "distillation_token", "mlp", "qk_norm"):
        settings = {name: value for name, value in settings.items() if name != key}
    with pytest.raises(
        ValueError, match=r"do not fit the model:\n  tensor +in the file +here +to make it fit\n"
    ) as told:
        vit(weights=file, **{**settings, **here})
    text = str(told.value)
    for line in lines:
        assert re.search(line, text), text
    assert len(text.splitlines()) <= 14
    if "embed_dim" not in here:
        model = vit(weights=file, allow_mismatch=True, **{**settings, **here})
        assert "missing in the file" in model.loaded


def test_the_settings_of_the_table_make_it_fit(vit, saved):
    reference, _ = timm_reference("dinov2")
    file = saved(reference)
    with pytest.raises(ValueError, match="do not fit") as told:
        vit(depth=3, weights=file)
    for setting in ("model.depth=2", "model.layer_scale=1.0e-5", "model.num_registers=4"):
        assert setting in str(told.value)
    assert_same(
        vit(weights=file, depth=2, layer_scale=1e-5, num_registers=4), IMAGES, *timm_attention(reference, IMAGES)
    )


def test_a_relative_bias_of_another_grid_is_named(vit, saved):
    file = saved(vit(position=RelativeBiasPosition))
    told = r"blocks\.0\.attn\.relation\.table and 1 more +52x3 +124x3 +model\.image_size=32 \(a grid of 4x4, here 6x6\)"
    with pytest.raises(ValueError, match=told):
        vit(position=RelativeBiasPosition, image_size=48, weights=file)


def test_nothing_that_fits_is_refused_even_if_allowed(vit, saved):
    reference, _ = timm_reference("plain")
    with pytest.raises(ValueError, match="nothing fits"):
        vit(embed_dim=24, depth=1, num_classes=9, allow_mismatch=True, weights=saved(reference))


def test_allowed_differences_leave_what_the_init_drew(vit, saved):
    reference, _ = timm_reference("plain")
    torch.manual_seed(7)
    fresh = vit(depth=3)
    torch.manual_seed(7)
    model = vit(depth=3, weights=saved(reference), allow_mismatch=True)
    assert torch.equal(model.blocks[2].mlp.fc1.weight, fresh.blocks[2].mlp.fc1.weight)
    assert torch.equal(model.blocks[1].mlp.fc1.weight, reference.blocks[1].mlp.fc1.weight)
    assert "missing in the file 12, unused 0, different 0" in model.loaded


def test_it_can_be_called_on_a_model_that_stands(vit, saved):
    reference, _ = timm_reference("plain")
    model = vit()
    told = load_weights(model, saved(reference), allow_mismatch=False)
    assert told.endswith("(timm layout): 32 tensors")
    assert close(model(IMAGES), reference(IMAGES))

import pytest
import torch
from references import hugging_face_reference, timm_reference, torchvision_reference

from vitlab.models.convert.layouts import from_library, layout_of, unwrapped


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("timm", lambda: timm_reference("plain")[0].state_dict()),
        ("timm", lambda: timm_reference("dinov2")[0].state_dict()),
        ("timm", lambda: timm_reference("fc_norm")[0].state_dict()),
        ("torchvision", lambda: torchvision_reference().state_dict()),
        ("Hugging Face", lambda: hugging_face_reference("ViT")[0].state_dict()),
        ("Hugging Face", lambda: hugging_face_reference("Dinov2WithRegisters")[0].state_dict()),
    ],
)
@pytest.mark.parametrize("prefix", ["", "module.", "module.model.", "_orig_mod."])
def test_a_layout_is_told_by_its_names(name, state, prefix):
    wrapped = {prefix + key: tensor for key, tensor in state().items()}
    assert layout_of(unwrapped(wrapped)).name == name
    assert not from_library(wrapped, 16).unknown


def test_our_own_is_told_too(vit):
    assert layout_of(vit(num_registers=2).state_dict()).name == "vitlab"


def test_an_unknown_layout_is_told_with_what_was_looked_for():
    state = {f"stages.{i}.conv.weight": torch.zeros(1) for i in range(6)}
    with pytest.raises(ValueError, match="of no library that is known here") as told:
        from_library(state, 16)
    text = str(told.value)
    for mark in ("timm: patch_embed.proj.weight and pos_embed", "torchvision: class_token and conv_proj.weight"):
        assert mark in text
    assert "Hugging Face: embeddings.patch_embeddings.projection.weight" in text
    assert text.endswith(
        "but stages.0.conv.weight, stages.1.conv.weight, stages.2.conv.weight, stages.3.conv.weight, …"
    )


def test_what_is_no_part_of_the_vit_proper_is_left_out():
    import transformers

    config = hugging_face_reference("ViT")[0].config
    model = transformers.ViTModel(config, add_pooling_layer=True, use_mask_token=True)
    assert {"pooler.dense.weight", "embeddings.mask_token"} <= model.state_dict().keys()
    ours = from_library(model.state_dict(), 16)
    assert not ours.unknown
    assert not [name for name in ours.state if "pool" in name or "mask" in name]


def test_names_that_the_table_lacks_are_kept_apart():
    state = timm_reference("plain")[0].state_dict() | {"norm_pre.weight": torch.ones(48)}
    assert from_library(state, 16).unknown == ["norm_pre.weight"]


def test_the_place_of_the_last_norm_is_seen():
    assert from_library(timm_reference("fc_norm")[0].state_dict(), 16).pools_before_norm
    assert not from_library(timm_reference("mean")[0].state_dict(), 16).pools_before_norm

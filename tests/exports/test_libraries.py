import json
from functools import partial

import pytest
import timm
import torchvision
import transformers
from safetensors.torch import load_file

from vitlab.exports.libraries import write_hugging_face, write_timm, write_torchvision
from vitlab.models.attention.full import Attention
from vitlab.models.mlp import SwigluMlp
from vitlab.models.norm import LayerNorm, RmsNorm
from vitlab.models.pool import ClsMeanPool, MeanPool


def same(given, wanted):
    return (given - wanted).abs().max() <= 1e-4 * wanted.abs().max()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"distillation_token": True},
        {"num_registers": 2, "layer_scale": 0.1},
        {"mlp": SwigluMlp, "pool": MeanPool},
        {"norm": RmsNorm},
        {"norm": lambda width: LayerNorm(width, eps=1e-5)},
        {"class_token": False, "pool": MeanPool, "pool_before_norm": True},
    ],
    ids=["plain", "distilled", "registers", "swiglu", "rms", "eps 1e-5", "fc_norm"],
)
def test_timm_opens_the_folder_and_predicts_the_same(make_vit, about, images, tmp_path, settings, capfd):
    model = make_vit(**settings).eval()
    predict = write_timm(model, tmp_path / "out", about)
    assert same(predict(images), model(images))
    assert capfd.readouterr() == ("", "")
    opened = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True).eval()
    assert same(opened(images), model(images))
    assert opened.pretrained_cfg["mean"] == [0.5, 0.4, 0.3]


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "ViTForImageClassification"),
        ({"distillation_token": True}, "DeiTForImageClassificationWithTeacher"),
        ({"layer_scale": 0.1, "pool": ClsMeanPool}, "Dinov2ForImageClassification"),
        ({"num_registers": 2, "mlp": SwigluMlp, "pool": MeanPool}, "Dinov2WithRegistersForImageClassification"),
    ],
)
def test_hugging_face_opens_the_folder_and_predicts_the_same(make_vit, about, images, tmp_path, settings, name, capfd):
    model = make_vit(**settings).eval()
    predict = write_hugging_face(model, tmp_path / "out", about)
    assert same(predict(images), model(images))
    assert capfd.readouterr() == ("", "")
    cls = getattr(transformers, name)
    opened, report = cls.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(report.values())
    assert same(opened.eval()(images).logits, model(images))
    assert opened.config.id2label == dict(enumerate("abcde"))
    assert opened.config.architectures == [name]


def test_torchvision_s_arguments_build_the_same(make_vit, about, images, tmp_path):
    model = make_vit().eval()
    predict = write_torchvision(model, tmp_path / "out", about)
    assert same(predict(images), model(images))
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    opened = torchvision.models.VisionTransformer(**config["arguments"]).eval()
    opened.load_state_dict(load_file(tmp_path / "out" / "model.safetensors"))
    assert same(opened(images), model(images))
    assert config["class_names"] == list("abcde")


@pytest.mark.parametrize("write", [write_timm, write_hugging_face, write_torchvision])
def test_a_part_that_is_not_there_is_refused_before_anything_is_written(make_vit, about, tmp_path, write):
    with pytest.raises(ValueError, match="has no gated attention"):
        write(make_vit(attention=partial(Attention, gated=True)), tmp_path / "out", about)
    assert not (tmp_path / "out").exists()

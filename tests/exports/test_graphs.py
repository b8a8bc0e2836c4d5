import json

import onnx
import onnxruntime
import pytest
import torch

from vitlab.exports.graphs import write_onnx, write_torch_export
from vitlab.models.attention.window import WindowAttention
from vitlab.models.pool import AttentionPool
from vitlab.models.position.relative_bias import RelativeBiasPosition


def shifted_windows(**sizes):
    return WindowAttention(**sizes, window_size=2, shift=True)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"num_registers": 2, "distillation_token": True, "layer_scale": 0.1, "pool": AttentionPool},
        {"position": RelativeBiasPosition, "attention": shifted_windows},
    ],
    ids=["plain", "tokens", "windows"],
)
def test_onnxruntime_computes_the_same_for_any_number_of_images(make_vit, about, tmp_path, settings, capfd):
    model = make_vit(depth=1, **settings).eval()
    predict = write_onnx(model, tmp_path / "model.onnx", about)
    for batch in (1, 4):
        images = torch.randn(batch, 3, 8, 8)
        assert torch.allclose(predict(images), model(images), atol=1e-5)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("opset", [18])
def test_the_file_is_whole_and_tells_what_it_is_for(model, about, tmp_path, opset):
    path = tmp_path / "model.onnx"
    write_onnx(model, path, about, opset)
    proto = onnx.load(path)
    assert {entry.version for entry in proto.opset_import if entry.domain == ""} == {opset}
    session = onnxruntime.InferenceSession(path)
    assert session.get_modelmeta().custom_metadata_map == about.as_strings()
    (given,), (wanted,) = session.get_outputs(), session.get_inputs()
    assert (wanted.name, wanted.shape[1:], given.name, given.shape[1:]) == ("images", [3, 8, 8], "logits", [5])
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]


def test_torch_s_own_graph_computes_the_same(model, about, tmp_path):
    path = tmp_path / "model.pt2"
    write_torch_export(model, path, about)
    extra = {"vitlab.json": ""}
    graph = torch.export.load(path, extra_files=extra).module()
    assert json.loads(extra["vitlab.json"]) == about.as_strings()
    for batch in (1, 4):
        images = torch.randn(batch, 3, 8, 8)
        assert torch.allclose(graph(images), model(images), atol=1e-6)


def test_images_of_another_size_are_refused_by_the_graph(model, about, tmp_path):
    predict = write_onnx(model, tmp_path / "model.onnx", about)
    with pytest.raises(Exception, match="invalid dimensions"):
        predict(torch.randn(1, 3, 16, 16))

import torch
from safetensors import safe_open

from vitlab.exports.tensors import write_safetensors


def test_the_weights_and_what_they_are_for_come_back(model, about, images, tmp_path, make_vit):
    path = tmp_path / "model.safetensors"
    predict = write_safetensors(model, path, about)
    assert torch.equal(predict(images), model(images))
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"format": "pt", **about.as_strings()}
        assert set(file.keys()) == model.state_dict().keys()
    other = make_vit(depth=1, weights=str(path)).eval()
    assert torch.equal(other(images), model(images))


def test_what_is_read_back_is_from_the_file(model, about, images, tmp_path, monkeypatch):
    import safetensors.torch

    torn = {name: torch.zeros_like(tensor) for name, tensor in model.state_dict().items()}
    monkeypatch.setattr(safetensors.torch, "load_file", lambda path: torn)
    predict = write_safetensors(model, tmp_path / "model.safetensors", about)
    assert torch.equal(predict(images), torch.zeros(3, 5))

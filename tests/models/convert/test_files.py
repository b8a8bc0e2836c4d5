import json
import sys
from argparse import Namespace

import pytest
import torch
from references import timm_reference
from safetensors.torch import save_file

from vitlab.models.convert.files import is_name, read

STATE = {"pos_embed": torch.ones(1, 5, 4)}


@pytest.mark.parametrize(
    ("weights", "named"),
    [
        ("timm:vit_small_patch16_224", True),
        ("hf:google/vit-base-patch16-224", True),
        ("torchvision:vit_b_16", True),
        ("weights.pt", False),
        ("/a/timm/weights.pt", False),
        ("timm", False),
        ("other:thing", False),
    ],
)
def test_a_name_is_told_from_a_file(weights, named):
    assert is_name(weights) is named


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": state},
        lambda state: {"model": {"state_dict": state}},
        lambda state: {"step": 1, "model": {}, "ema": {"model": state, "n_averaged": torch.tensor(3)}},
        lambda state: {"step": 1, "model": state, "ema": None},
        lambda state: {"step": 1, "model": state, "ema": 5},
        lambda state: {**state, "version": 2},
    ],
)
def test_wrapped_state_dicts_are_found(tmp_path, wrap):
    torch.save(wrap(STATE), tmp_path / "weights.pth")
    state = read(str(tmp_path / "weights.pth")).state
    assert state.keys() == STATE.keys()
    assert torch.equal(state["pos_embed"], STATE["pos_embed"])


def test_a_pickle_is_refused_and_its_code_never_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (print, ("bang",))

    for name, content in (("bomb.pt", {"model": Bomb()}), ("args.pt", {"model": STATE, "args": Namespace(lr=1)})):
        torch.save(content, tmp_path / name)
        with pytest.raises(
            ValueError, match="holds Python objects besides tensors, and reading those could run"
        ) as told:
            read(str(tmp_path / name))
        assert len(str(told.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["torn.pt", "torn.safetensors", "model.onnx", "empty.pt"])
def test_what_is_no_file_of_weights_is_one_message(tmp_path, name):
    (tmp_path / name).write_bytes(b"" if name == "empty.pt" else b"PK\x03\x04 something else")
    with pytest.raises(ValueError, match=name) as told:
        read(str(tmp_path / name))
    assert len(str(told.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "held"), [([1, 2], "list"), ({"lr": 1, "epoch": 2}, "a dict of lr, epoch"), (torch.zeros(3), "Tensor")]
)
def test_a_file_without_a_state_dict_says_what_it_holds(tmp_path, content, held):
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=f"holds no state dict but {held}; looked for state_dict"):
        read(str(tmp_path / "other.pt"))


def test_a_missing_file_offers_the_one_that_was_meant_or_a_name(tmp_path):
    save_file(STATE, tmp_path / "weights.safetensors")
    with pytest.raises(ValueError, match=r"no such file; did you mean weights\.safetensors\?"):
        read(str(tmp_path / "weigths.safetensors"))
    with pytest.raises(ValueError, match="a model by its name is timm:vit_small_patch16_224, hf:OWNER/NAME"):
        read(str(tmp_path / "nothing" / "like.pt"))


def test_a_folder_in_several_files_is_read_whole(tmp_path):
    save_file(STATE, tmp_path / "model-00001-of-00002.safetensors")
    save_file({"norm.weight": torch.ones(4)}, tmp_path / "model-00002-of-00002.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"num_attention_heads": 6, "layer_norm_eps": 1e-12}))
    source = read(str(tmp_path))
    assert source.state.keys() == {"pos_embed", "norm.weight"}
    assert source.facts == {"num_heads": 6, "eps": 1e-12}


def test_a_folder_without_weights_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"is a folder without model\.safetensors; name a file"):
        read(str(tmp_path))


@pytest.mark.parametrize("config", ["", "[]", "{", '{"num_heads": null}', '{"model_args": 3}'])
def test_a_config_of_another_tool_beside_the_weights_does_no_harm(tmp_path, config):
    save_file(STATE, tmp_path / "weights.safetensors")
    (tmp_path / "config.json").write_text(config)
    assert read(str(tmp_path / "weights.safetensors")).facts == {}


def test_heads_are_read_from_metadata_and_configs(tmp_path):
    save_file(STATE, tmp_path / "a.safetensors", {"num_heads": "12"})
    assert read(str(tmp_path / "a.safetensors")).facts == {"num_heads": 12}
    (tmp_path / "config.json").write_text(json.dumps({"model_args": {"num_heads": 3}}))
    torch.save(STATE, tmp_path / "b.pt")
    assert read(str(tmp_path / "b.pt")).facts == {"num_heads": 3}


def test_timm_s_models_come_by_name(monkeypatch):
    import timm

    reference, _ = timm_reference("plain")
    asked = []
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained: asked.append((name, pretrained)) or reference)
    source = read("timm:vit_small_patch16_224.augreg_in21k")
    assert asked == [("vit_small_patch16_224.augreg_in21k", True)]
    assert source.facts == {"num_heads": 3, "eps": 1e-6}
    assert source.state.keys() == reference.state_dict().keys()


def test_torchvision_s_models_come_by_name(monkeypatch):
    import torchvision
    from references import torchvision_reference

    monkeypatch.setattr(torchvision.models, "get_model", lambda name, weights: torchvision_reference())
    assert read("torchvision:vit_b_16").facts == {"num_heads": 3, "eps": 1e-6}


def test_hugging_face_s_models_come_by_name(monkeypatch, tmp_path):
    import huggingface_hub

    save_file(STATE, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"num_attention_heads": 6}))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda repo, name: str(tmp_path / name))
    assert read("hf:google/vit").facts == {"num_heads": 6}


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("timm:vit_smal_patch16_224", r"timm has no such model; did you mean vit_small_patch16_224"),
        ("torchvision:vit_b_61", r"torchvision has no such model; did you mean vit_b_16"),
        ("torchvision:resnet50", r"torchvision has no such model; it has vit_b_16"),
    ],
)
def test_a_misspelt_model_is_offered_the_nearest(weights, message):
    with pytest.raises(ValueError, match=f"^weights={weights}: {message}"):
        read(weights)


@pytest.mark.parametrize(
    ("weights", "patched"),
    [
        ("timm:vit_tiny_patch16_224", "timm.create_model"),
        ("hf:google/vit", "huggingface_hub.hf_hub_download"),
        ("torchvision:vit_b_16", "torchvision.models.get_model"),
    ],
)
def test_without_a_network_one_message_says_what_to_do(monkeypatch, weights, patched):
    def fail(*arguments, **settings):
        raise OSError("no route to host\nand a long tale")

    monkeypatch.setattr(patched, fail)
    with pytest.raises(ValueError, match="could not be fetched") as told:
        read(weights)
    assert str(told.value) == (
        f"weights={weights} could not be fetched (no route to host); "
        "where there is no network, fetch the file elsewhere and give weights=FILE"
    )


@pytest.mark.parametrize(("weights", "library"), [("timm:vit_tiny_patch16_224", "timm"), ("hf:a/b", "huggingface_hub")])
def test_without_the_library_one_message_says_what_to_install(monkeypatch, weights, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ValueError, match=rf"weights={weights} needs {library}: pip install 'vitlab\[export\]'"):
        read(weights)

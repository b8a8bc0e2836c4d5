import copy

import pytest
import torch
from safetensors import safe_open
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Shard, distribute_tensor

from vitlab.engine.checkpoint import BEST, LAST, Checkpoints, read
from vitlab.engine.distributed import ALONE, World
from vitlab.engine.shards import (
    cut_state,
    forget_other_shards,
    gathered,
    like,
    refuse_damaged_shards,
    whole,
    write_shards,
)
from vitlab.errors import VitlabError


@pytest.fixture
def cut(tmp_path):
    """``cut(tensor)``: a tensor in the shards of this process alone."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    mesh = init_device_mesh("cpu", (1,))
    yield lambda tensor: distribute_tensor(tensor, mesh, [Shard(0)])
    torch.distributed.destroy_process_group()


def test_a_state_is_put_together_and_the_rest_of_it_left_alone(cut):
    tensor = torch.arange(4.0)
    state = {"a": [cut(tensor), 3], "b": ("word", {"c": tensor}), 5: None}
    found = gathered(state, ALONE)
    assert not isinstance(found["a"][0], DTensor)
    assert torch.equal(found["a"][0], tensor)
    assert found["a"][1] == 3
    assert found["b"][0] == "word"
    assert found["b"][1]["c"] is tensor
    assert found[5] is None
    assert torch.equal(whole(cut(tensor)), tensor)
    assert whole(tensor) is tensor


def test_only_the_first_process_keeps_what_was_put_together(cut):
    assert gathered({"a": cut(torch.arange(4.0)), "b": 3}, World(1, 2)) == {"a": None, "b": 3}


def test_a_tensor_is_cut_like_another(cut):
    tensor = torch.arange(4.0)
    assert like(tensor, tensor + 1) is not None
    assert not isinstance(like(tensor, tensor + 1), DTensor)
    found = like(cut(tensor), tensor + 1)
    assert isinstance(found, DTensor)
    assert torch.equal(found.full_tensor(), tensor + 1)


def test_an_optimizer_goes_on_in_shards(cut):
    weight = torch.nn.Parameter(torch.ones(4, 2))
    plain = torch.optim.AdamW([weight], lr=0.1)
    weight.grad = torch.ones(4, 2)
    plain.step()
    shard = torch.nn.Parameter(cut(weight.detach().clone()))
    optimizer = torch.optim.AdamW([shard], lr=0.1)
    optimizer.load_state_dict(copy.deepcopy(plain.state_dict()))
    cut_state(optimizer)
    shard.grad = cut(torch.ones(4, 2))
    optimizer.step()
    plain.step()
    assert torch.equal(shard.full_tensor(), weight)


def state_of(*tensors):
    return {"step": 1, "model": {str(number): tensor for number, tensor in enumerate(tensors)}, "ema": None}


def test_shards_go_to_files_of_their_own_which_the_checkpoint_names(cut, tmp_path):
    state = state_of(cut(torch.arange(4.0)), torch.ones(2))
    written = write_shards(state, tmp_path, ALONE)
    (file,) = written["shards"]["files"]
    with safe_open(tmp_path / written["shards"]["folder"] / file, "pt") as found:
        assert list(found.keys()) == ["model.0"]
        assert found.get_tensor("model.0").tolist() == [0, 1, 2, 3]
    assert torch.equal(written["model"]["1"], torch.ones(2))
    Checkpoints(tmp_path).save(LAST, written)
    assert read(tmp_path / LAST)["shards"] == written["shards"]


def test_a_state_without_shards_stays_as_it_is(tmp_path):
    state = state_of(torch.ones(2))
    assert write_shards(state, tmp_path, ALONE) is state
    assert not list(tmp_path.iterdir())


def test_the_files_of_before_go_only_when_the_new_ones_are_saved(cut, tmp_path):
    first = write_shards(state_of(cut(torch.zeros(4))), tmp_path, ALONE)
    second = write_shards(state_of(cut(torch.ones(4))), tmp_path, ALONE)
    assert first["shards"]["folder"] != second["shards"]["folder"]
    refuse_damaged_shards(first, tmp_path)
    forget_other_shards(second, tmp_path)
    refuse_damaged_shards(second, tmp_path)
    with pytest.raises(OSError, match="No such file"):
        refuse_damaged_shards(first, tmp_path)


def test_a_folder_with_a_like_name_is_left_alone(cut, tmp_path):
    (tmp_path / "last.shards-old").mkdir()
    state = write_shards(state_of(cut(torch.ones(4))), tmp_path, ALONE)
    assert state["shards"]["folder"] == "last.shards-1"
    forget_other_shards(state, tmp_path)
    assert sorted(path.name for path in tmp_path.glob("last*")) == ["last.shards-1", "last.shards-old"]


@pytest.mark.faults
@pytest.mark.parametrize("damage", ["cut", "flipped", "gone", "more"])
def test_damaged_shards_are_seen_and_the_best_checkpoint_is_used(cut, tmp_path, damage):
    checkpoints, said = Checkpoints(tmp_path), []
    checkpoints.save(BEST, state_of(torch.ones(4)))
    state = write_shards(state_of(cut(torch.ones(64))), tmp_path, ALONE)
    checkpoints.save(LAST, state | {"step": 2})
    (path,) = tmp_path.glob("last.shards-1/*")
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    if damage == "gone":
        path.unlink()
    elif damage == "more":
        path.with_name("more.safetensors").write_bytes(content)
    else:
        path.write_bytes(content if damage == "flipped" else content[:-1])
    assert checkpoints.load_latest(said.append)["step"] == 1
    assert path.parent.name in said[0]
    assert "going on from best.pt (step 1)" in said[0]


@pytest.mark.parametrize(
    "shards",
    [3, {}, {"folder": "..", "files": 3}, {"folder": "../x", "files": {}}, {"folder": "x", "files": {"/y": ""}}],
)
def test_a_checkpoint_that_names_files_elsewhere_is_refused(tmp_path, shards):
    Checkpoints(tmp_path).save(LAST, {**state_of(), "shards": shards})
    with pytest.raises(VitlabError, match="shards"):
        read(tmp_path / LAST)


def test_a_disk_that_takes_no_shards_is_named(cut, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(VitlabError, match="cannot be written.*Not a directory.*resume="):
        write_shards(state_of(cut(torch.ones(4))), tmp_path / "file", ALONE)

import pickle
import random

import pytest
import torch
from torch import nn

from vitlab.engine.checkpoint import BEST, LAST, Checkpoints, load_weights, read
from vitlab.engine.seal import seal
from vitlab.errors import VitlabError


def state(step):
    return {"step": step, "model": {"weight": torch.full((50, 50), float(step))}, "ema": None}


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "checkpoints")


def sealed(path, write):
    """A file that was made with care by somebody else."""
    with path.open("w+b") as file:
        write(file)
        seal(file)


def test_what_is_saved_is_read_back(checkpoints):
    checkpoints.save(LAST, state(7))
    loaded = checkpoints.load_latest(say=pytest.fail)
    assert loaded["step"] == 7
    assert torch.equal(loaded["model"]["weight"], state(7)["model"]["weight"])
    assert [p.name for p in checkpoints.folder.iterdir()] == [LAST]


def test_without_any_checkpoint_there_is_none(checkpoints):
    assert checkpoints.load_latest(say=pytest.fail) is None


@pytest.mark.faults
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_last_falls_back_to_best_and_says_so(checkpoints, keep):
    checkpoints.save(BEST, state(3))
    checkpoints.save(LAST, state(7))
    path = checkpoints.folder / LAST
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    said = []
    assert checkpoints.load_latest(said.append)["step"] == 3
    assert len(said) == 1
    assert "last.pt cannot be read" in said[0]
    assert "going on from best.pt (step 3)" in said[0]


@pytest.mark.faults
@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_two_hundred_random_cuts_and_flipped_bits_are_all_seen(checkpoints, damage):
    checkpoints.save(BEST, state(3))
    checkpoints.save(LAST, state(7))
    path = checkpoints.folder / LAST
    whole = path.read_bytes()
    rng = random.Random(0)
    for _ in range(200):
        at = rng.randrange(len(whole))
        flipped = bytes([whole[at] ^ (1 << rng.randrange(8))])
        path.write_bytes(whole[:at] if damage == "cut" else whole[:at] + flipped + whole[at + 1 :])
        said = []
        assert checkpoints.load_latest(said.append)["step"] == 3
        assert "last.pt cannot be read" in said[0]


def test_torch_reads_a_checkpoint_too(checkpoints):
    checkpoints.save(LAST, state(7))
    assert torch.load(checkpoints.folder / LAST, weights_only=True)["step"] == 7


@pytest.mark.faults
def test_if_all_are_torn_the_error_names_all(checkpoints):
    for name in (LAST, BEST):
        checkpoints.save(name, state(3))
        (checkpoints.folder / name).write_bytes(b"PK")
    with pytest.raises(VitlabError, match=r"last\.pt.*best\.pt"):
        checkpoints.load_latest(say=pytest.fail)


@pytest.mark.faults
def test_a_write_that_fails_leaves_the_old_checkpoint_whole(checkpoints, monkeypatch):
    checkpoints.save(LAST, state(1))

    def full_disk(state, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(VitlabError, match="No space left"):
        checkpoints.save(LAST, state(2))
    monkeypatch.undo()
    assert read(checkpoints.folder / LAST)["step"] == 1
    assert [p.name for p in checkpoints.folder.iterdir()] == [LAST]


def test_a_checkpoint_runs_no_code(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (print, ("this must not be printed",))

    sealed(tmp_path / LAST, lambda file: torch.save({"step": 1, "model": Hostile()}, file))
    with pytest.raises(VitlabError, match="cannot be read as a checkpoint"):
        read(tmp_path / LAST)
    sealed(tmp_path / BEST, lambda file: file.write(pickle.dumps(Hostile(), protocol=2)))
    with pytest.raises(VitlabError, match="cannot be read as a checkpoint"):
        read(tmp_path / BEST)


def test_a_file_of_another_kind_is_named(tmp_path):
    sealed(tmp_path / LAST, lambda file: torch.save([1, 2], file))
    with pytest.raises(VitlabError, match="is not a checkpoint of vitlab"):
        read(tmp_path / LAST)
    with pytest.raises(VitlabError, match="there is no checkpoint"):
        read(tmp_path / "missing.pt")


@pytest.mark.parametrize("wrong", [{"model": 1}, {"ema": 5}, {"ema": {"model": [1]}}, {"ema": {}}, {"step": "3"}])
def test_a_checkpoint_whose_parts_are_of_another_kind_is_none(tmp_path, wrong):
    sealed(tmp_path / LAST, lambda file: torch.save({**state(1), **wrong}, file))
    with pytest.raises(VitlabError, match="is not a checkpoint of vitlab"):
        read(tmp_path / LAST)


@pytest.mark.parametrize("content", [b"\x80\x02a.", b"\x80\x02}b.", b"\x80\x02K\x01K\x02s.", b"\x80\x02)R."])
def test_bytes_that_only_look_like_a_pickle_fall_back_to_best(checkpoints, content):
    checkpoints.save(BEST, state(3))
    sealed(checkpoints.folder / LAST, lambda file: file.write(content))
    said = []
    assert checkpoints.load_latest(said.append)["step"] == 3
    assert "last.pt cannot be read" in said[0]


@pytest.mark.parametrize("weight", [7, "in a file", torch.eye(2, 3).to_sparse()], ids=["number", "word", "sparse"])
def test_a_weight_that_is_not_a_tensor_is_named(tmp_path, weight):
    with pytest.raises(VitlabError, match="weight is not a tensor"):
        load_weights(nn.Linear(3, 2, bias=False), {"weight": weight}, tmp_path / LAST)


def test_weights_of_another_architecture_are_told_apart(tmp_path):
    with pytest.raises(VitlabError, match="another architecture") as caught:
        load_weights(nn.Linear(3, 2), {"weight": torch.zeros(2, 4), "extra": torch.zeros(1)}, tmp_path / LAST)
    message = str(caught.value)
    assert "weight is 2x4 and not 2x3" in message
    assert "bias is missing" in message
    assert "extra is not in this model" in message

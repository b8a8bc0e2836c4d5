import pytest
import torch
from references import CLASSES, HUGGING_FACE, TIMM, hugging_face_reference, timm_reference, torchvision_reference

from vitlab.models.convert import names
from vitlab.models.convert.layouts import unwrapped


def test_parts_are_put_together_in_the_order_of_our_rows():
    table = (("blocks.#.qkv", "layer.#.q + layer.#.k + layer.#.v"),)
    theirs = {f"layer.7.{part}.weight": torch.full((2, 3), float(i)) for i, part in enumerate("vkq")}
    (ours,) = names.to_ours(theirs, table).state.items()
    assert ours[0] == "blocks.7.qkv.weight"
    assert ours[1][:, 0].tolist() == [2, 2, 1, 1, 0, 0]
    back = names.to_theirs(dict([ours]), table).state
    assert back.keys() == theirs.keys()
    assert all(torch.equal(back[name], theirs[name]) for name in theirs)


def test_a_part_that_lacks_its_others_is_unknown():
    table = (("qkv", "q + k + v"),)
    renamed = names.to_ours({"q.weight": torch.zeros(2), "k.weight": torch.zeros(2)}, table)
    assert not renamed.state
    assert sorted(renamed.unknown) == ["k.weight", "q.weight"]


def test_a_name_covers_what_lies_below_it_and_nothing_else():
    table = (("norm", "encoder.ln"),)
    theirs = {"encoder.ln.weight": torch.zeros(1), "encoder.ln_1.weight": torch.ones(1)}
    renamed = names.to_ours(theirs, table)
    assert list(renamed.state) == ["norm.weight"]
    assert renamed.unknown == ["encoder.ln_1.weight"]
    assert names.to_theirs({"norms.weight": torch.zeros(1)}, table).unknown == ["norms.weight"]


@pytest.mark.parametrize("kind", TIMM)
def test_timm_s_names_are_all_known(kind):
    assert not names.to_ours(timm_reference(kind)[0].state_dict(), names.TIMM).unknown


def test_torchvision_s_names_are_all_known():
    assert not names.to_ours(torchvision_reference().state_dict(), names.TORCHVISION).unknown


@pytest.mark.parametrize("kind", HUGGING_FACE)
def test_hugging_face_s_names_are_all_known(kind):
    renamed = names.to_ours(unwrapped(hugging_face_reference(kind)[0].state_dict()), names.HUGGING_FACE)
    assert set(renamed.unknown) <= {"embeddings.mask_token"}
    assert len(renamed.state["head.weight"]) == CLASSES

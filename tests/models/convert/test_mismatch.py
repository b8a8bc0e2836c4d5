import math

import pytest
import torch

from vitlab.models.convert.mismatch import Row, differences, scales_of_its_own, shape_of, table
from vitlab.models.mup import mup


def test_the_table_is_what_it_should_be_by_hand():
    rows = [Row(f"blocks.{i}.ls1.gamma", "48", "none", "model.layer_scale=1.0e-5") for i in range(3)]
    rows += [Row("cls_token", "none", "1x1x48", "model.class_token=false"), Row("extra", "unknown here", "none")]
    assert table(rows).splitlines() == [
        "  tensor                         in the file   here    to make it fit",
        "  blocks.0.ls1.gamma and 2 more  48            none    model.layer_scale=1.0e-5",
        "  cls_token                      none          1x1x48  model.class_token=false",
        "  extra                          unknown here  none",
    ]


def test_a_long_table_is_cut():
    lines = table([Row(f"part{i}", "1", "none", f"setting={i}") for i in range(25)]).splitlines()
    assert len(lines) == 12
    assert lines[-1] == "  … and 15 more"


def test_equal_weights_have_no_differences(vit):
    model = vit()
    assert differences(model, model.state_dict(), []) == []


def test_each_tensor_is_named_once(vit):
    state = vit(depth=3, embed_dim=24, mlp_ratio=2).state_dict()
    rows = differences(vit(), state, ["unheard.of"])
    names = [row.name for row in rows]
    assert len(names) == len(set(names))
    assert {row.setting for row in rows} == {"model.embed_dim=24", "model.depth=3", ""}


@pytest.mark.parametrize(
    ("tensor", "text"), [(None, "none"), (torch.zeros(2, 3), "2x3"), (torch.tensor(1), "a number")]
)
def test_shapes_in_words(tensor, text):
    assert shape_of(tensor) == text


def test_scales_that_no_library_has_are_seen(vit):
    assert not scales_of_its_own(vit())
    assert scales_of_its_own(vit(init=mup))
    model = vit()
    model.blocks[1].attn.scale = 2 / math.sqrt(16)
    assert scales_of_its_own(model)

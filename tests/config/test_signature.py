from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from vitlab.config.signature import check
from vitlab.errors import VitlabError
from vitlab.models.attention.patterns import LocalAttention


class Something:
    """What a setting may have to be."""


SOMETHING = Something()


def part(
    size: int,
    rate: float = 0.1,
    name: str = "a",
    switch: bool = False,
    limit: int | None = None,
    many: Sequence[float] = (0.0, 1.0),
    pair: tuple[float | Tensor, float | Tensor] = (0.0, 1.0),
    source: Something = SOMETHING,
    free=None,
):
    """A part whose settings have kinds."""


def checked(target=part, **settings):
    check("model.part", {"_target_": "my.part", "size": 1, **settings}, target)


@pytest.mark.parametrize(
    "settings",
    [
        {"size": 3},
        {"rate": 1},
        {"rate": 0.5},
        {"name": "b"},
        {"switch": True},
        {"limit": None},
        {"limit": 2},
        {"many": [0, 0.5, 1]},
        {"pair": [0, 0.5]},
    ]
    + [{"free": value} for value in ("abc", None, 3, [1], float("nan"))],
    ids=str,
)
def test_what_fits_passes(settings):
    checked(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": "abc"}, "model.part.size=abc is not a whole number"),
        ({"size": 1.5}, "model.part.size=1.5 is not a whole number"),
        ({"size": True}, "model.part.size=True is not a whole number"),
        ({"size": None}, "model.part.size=null is not a whole number"),
        ({"rate": "abc"}, "model.part.rate=abc is not a number"),
        ({"rate": float("nan")}, "model.part.rate=nan is not a number"),
        ({"rate": [1]}, r"model.part.rate=\[1\] is not a number"),
        ({"many": 0.5}, "model.part.many=0.5 is not a list of numbers"),
        ({"many": [0.5, "a"]}, r"model.part.many=\[0.5, 'a'\] is not a list of numbers"),
        ({"pair": 0.5}, "model.part.pair=0.5 is not a list of two numbers"),
        ({"pair": [0.5]}, r"model.part.pair=\[0.5\] is not a list of two numbers"),
        ({"pair": [0.5, "a"]}, r"model.part.pair=\[0.5, 'a'\] is not a list of two numbers"),
        ({"source": None}, "model.part.source=null is missing: this part needs a Something"),
        ({"name": 3}, "model.part.name=3 is not a word"),
        ({"switch": 1}, "model.part.switch=1 is not true or false"),
        ({"limit": "abc"}, "model.part.limit=abc is not a whole number or null"),
        ({"rat": 0.1}, r"model.part.rat is no setting of this part; did you mean rate\?"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_by_name(settings, message):
    with pytest.raises(VitlabError, match=message):
        checked(**settings)


def test_what_a_target_needs_must_be_there_unless_it_comes_later():
    with pytest.raises(VitlabError, match="model.part lacks size, which my.part needs"):
        check("model.part", {"_target_": "my.part"}, part)
    check("model.part", {"_target_": "my.part", "_partial_": True}, part)


def test_options_that_are_handed_on_are_those_of_the_class_above():
    node = {"_target_": "x", "_partial_": True}
    check("model.attention", {**node, "neighbourhood": 3, "qk_norm": True}, LocalAttention)
    with pytest.raises(VitlabError, match="model.attention.qk_norm=3 is not true or false"):
        check("model.attention", {**node, "qk_norm": 3}, LocalAttention)
    with pytest.raises(VitlabError, match=r"model.attention.qk_nrom is no setting.*did you mean qk_norm\?"):
        check("model.attention", {**node, "qk_nrom": True}, LocalAttention)


def test_a_class_of_others_that_takes_anything_is_left_to_itself():
    class Open(torch.nn.Identity):
        def __init__(self, **anything):
            super().__init__()

    check("model.part", {"_target_": "x", "whatever": 3}, Open)


def test_a_setting_of_another_part_is_refused_with_the_way_to_leave_it_out():
    with pytest.raises(VitlabError, match="scheduler.floor is no setting of this part; ~scheduler.floor leaves it out"):
        check("scheduler", {"_target_": "my.part", "size": 1, "floor": 0.02}, part)

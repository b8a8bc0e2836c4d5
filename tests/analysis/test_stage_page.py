import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from vitlab.analysis.anatomy import Heading, Section
from vitlab.analysis.facts import facts
from vitlab.analysis.stage_page import render

VOID = {"meta", "link", "br", "rect", "img", "hr"}


class Page(HTMLParser):
    """The page's text, addresses, and whether every tag is closed by its like."""

    def __init__(self, html):
        super().__init__()
        self.open, self.text, self.addresses, self.tags = [], "", [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text += data


def page(anatomy, title="title", command="command"):
    return render(anatomy, facts(anatomy, None), title, command, (4, 4))


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        (
            "model/attention=window",
            "model.attention.window_size=2",
            "model.attention.shift=true",
            "model.num_registers=2",
        ),
        (
            "model/block=post_norm",
            "model/attention=linear",
            "model/position=none",
            "model.class_token=false",
            "model/pool=mean",
        ),
        (
            "model/block=parallel",
            "model.layer_scale=0.1",
            "model.depthwise_shortcut=true",
            "model.distillation_token=true",
        ),
    ],
    ids=["plain", "windows", "post_norm", "parallel"],
)
def test_every_stage_is_there_with_its_figures(anatomy, overrides):
    found = anatomy(*overrides)
    shown = Page(page(found))
    text = " ".join(shown.text.split())
    for section in found.sections:
        assert section.heading.name in text
        for stage in section.stages:
            assert stage.name in text
            assert stage.text in text
            assert " × ".join(map(str, stage.shape)) in text
            assert f"{stage.parameters:,}" in text
    assert text.count("shortcut") >= sum(s.name == "shortcut" for section in found.sections for s in section.stages)


def test_the_page_needs_nothing_else(anatomy):
    html = page(anatomy())
    assert Page(html).addresses == ["data:,"]
    assert not re.search(r"@import|url\(|<script|https?://", html)


def test_the_sum_closes_its_shortcut(anatomy):
    html = page(anatomy("model/block=post_norm"))
    branches = re.findall(r'<span class="branch">(.*?)<span class="plus"', html, re.S)
    assert len(branches) == 2
    assert "attention" in branches[0]
    assert "norm" not in branches[0] + branches[1]
    assert "MLP" in branches[1]


def test_what_runs_side_by_side_is_drawn_so(anatomy):
    html = page(anatomy("model/block=parallel", "model.layer_scale=0.1"))
    (lanes,) = re.findall(r'<span class="lanes">(.*?)<span class="plus"', html, re.S)
    attention, mlp = lanes.index("attention"), lanes.index("MLP")
    assert "→" not in lanes[:attention]
    assert lanes[attention:mlp].count('class="arrow"') == 1  # to its layer scale, and from there not to the MLP
    assert 'class="lanes"' not in page(anatomy())


def test_what_does_not_follow_is_not_drawn_with_an_arrow(anatomy):
    shifted = ("model/attention=window", "model.attention.window_size=2", "model.attention.shift=true", "model.depth=4")
    turns, beside = 'class="arrow turns"', 'class="arrow beside"'
    assert page(anatomy(*shifted)).count(turns) == 1
    assert page(anatomy("model.distillation_token=true")).count(beside) == 1
    plain = page(anatomy())
    assert turns not in plain
    assert beside not in plain


def test_bars_are_as_wide_as_the_shares(anatomy):
    found = anatomy()
    widths = [float(w) for w in re.findall(r'fill flops" style="width:([\d.]+)%', page(found))]
    shares = [100 * found.share_of_flops(s, section.times) for section in found.sections for s in section.stages]
    assert widths == pytest.approx(shares, abs=0.01)


def test_what_a_user_typed_is_text_and_not_html(anatomy):
    evil = "<script>alert(1)</script> & \"'"
    found = anatomy()
    front = found.sections[0]
    stages = tuple(replace(s, name=evil, formula=f"x_CLS {evil}", text=evil) for s in front.stages)
    found = replace(found, sections=(Section(Heading(evil, evil, evil, evil), stages), *found.sections[1:]))
    shown = Page(page(found, title=evil, command=evil))
    assert "script" not in shown.tags
    assert shown.text.count(evil) >= 4 + 3 * len(stages)
    assert "sub" in shown.tags

import pytest

from vitlab.analysis.stage_table import render


@pytest.mark.parametrize("width", [80, 100, 140])
@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("model=vit_large",),
        ("model/attention=window", "model.attention.window_size=2", "model.attention.shift=true"),
    ],
    ids=["micro", "large", "shifted"],
)
def test_no_line_is_wider_than_the_terminal_and_no_figure_is_cut(anatomy, width, overrides):
    found = anatomy(*overrides)
    text = render(found, [("Fact", "word " * 60)], "title", width, colours=False)
    assert max(map(len, text.splitlines())) <= width
    assert "\x1b" not in text
    cells = text.split()
    for section in found.sections:
        for stage in section.stages:
            assert not stage.parameters or f"{stage.parameters:,}" in cells
            assert "×".join(map(str, stage.shape)) in cells
    assert f"{found.parameters:,}" in cells
    assert text.splitlines()[0] == "title"


def test_formulas_are_not_read_as_markup(anatomy):
    assert "[Q K V] = x W + b" in render(anatomy(), [], "", 120, colours=False)


def test_a_terminal_gets_bold(anatomy):
    assert "\x1b[1m" in render(anatomy(), [], "", 100, colours=True)


def test_the_table_of_a_plain_model_fits_a_screen(anatomy):
    lines = render(anatomy("model.depth=12"), [], "", 100, colours=False).splitlines()
    total = next(i for i, line in enumerate(lines) if line.strip().startswith("total"))
    assert total < 30

from PIL import Image

from vitlab.pictures import saved, shortened, subplots, text


def test_a_figure_has_as_many_axes_as_wanted_in_rows_of_a_few(tmp_path):
    figure, axes = subplots(7, width=1, height=1, most=3)
    assert len(axes) == 7
    assert tuple(figure.get_size_inches()) == (3, 3)
    path = saved(figure, tmp_path / "picture.png")
    with Image.open(path) as image:
        assert image.getpixel((0, 0))[:3] == (255, 255, 255)


def test_words_of_strangers_are_no_formula_and_that_they_were_cut_is_seen(tmp_path):
    assert text("$_x^ \ud800\n") == r"\$_x^ ??"
    assert shortened("a longer name", 8) == "a longe…"
    figure, (axes,) = subplots(1)
    axes.set_title(text(r"{%\foo$ $_x^$"))
    assert saved(figure, tmp_path / "picture.png").exists()

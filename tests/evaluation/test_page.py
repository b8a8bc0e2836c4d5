from PIL import Image

from vitlab.evaluation.page import embedded, render


def test_a_page_extends_the_common_one_and_escapes_what_it_shows(tmp_path):
    template = tmp_path / "own.html.j2"
    template.write_text('{% extends "page.html.j2" %}{% block body %}<p>{{ text }}</p>{% endblock %}')
    shown = {"title": "<b>", "generator": "a test", "sentences": ["<i>"], "command": "<u>"}
    page = render(template, text="<s>", **shown)
    for tag in ("<b>", "<i>", "<u>", "<s>"):
        assert tag not in page
    assert "<title>&lt;b&gt;</title>" in page
    assert "<p>&lt;s&gt;</p>" in page
    assert "default-src 'none'" in page


def test_pictures_lie_in_the_page_by_their_names(tmp_path):
    Image.new("L", (1, 1)).save(tmp_path / "a.png")
    assert embedded([tmp_path / "a.png"])["a"].startswith("iVBORw0KGgo")  # how a PNG begins


def test_of_markdown_too_every_word_of_a_stranger_is_text(tmp_path):
    template = tmp_path / "own.md.j2"
    template.write_text("- {{ name | markdown }}")
    page = render(template, name="![x](https://evil/a.png) <img> `a`\nb")
    assert page == r"- !\[x\](https://evil/a.png) &lt;img> \`a\`\\nb"

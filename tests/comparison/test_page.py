import json
import re
from html.parser import HTMLParser

from vitlab.comparison.page import page_data, render

EVIL = "</script><script>document.title='broken'</script><img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """The scripts of a page, its text outside of them, and its addresses."""

    def __init__(self, html):
        super().__init__()
        self.scripts, self.tags, self.addresses, self.words, self._inside = [], [], [], "", False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action")]
        self._inside = tag in ("script", "style")
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._inside = self._inside and tag not in ("script", "style")

    def handle_data(self, data):
        if self._inside and self.scripts:
            self.scripts[-1] += data
        else:
            self.words += data


def test_the_page_holds_all_runs_and_needs_nothing_else(sweep):
    comparison = sweep({(4, 2): [0.50, 0.52], (8, 2): [0.60, 0.62]})
    page = Page(render(comparison))
    assert page.addresses == ["data:,"]
    data = json.loads(page.scripts[0])
    assert data == json.loads(json.dumps(page_data(comparison)))
    assert [run["values"] for run in data["runs"]] == [["8"], ["8"], ["4"], ["4"]]
    assert data["runs"][0]["curves"]["val/accuracy"] == [[1, 2], [0.6, 0.6]]
    assert "model.depth=8 beats 4" in page.words
    assert page.tags.count("script") == 3


def test_words_of_a_stranger_are_never_script_or_markup(make_run, tmp_path):
    from vitlab.comparison.comparing import compare
    from vitlab.comparison.loading import load

    for number, name in enumerate((EVIL, "<!--<script>")):
        make_run(f"{number}", 0.5 + number / 10, **{"model.name": name, "model.depth": number + 1})
    comparison = compare(load([tmp_path]))
    comparison.left_out.append((EVIL, EVIL))
    for run in comparison.runs:
        run.name = EVIL
    html = render(comparison)
    page = Page(html)
    assert page.tags.count("script") == 3
    assert "img" not in page.tags
    assert json.loads(page.scripts[0])["runs"][0]["name"] == EVIL
    assert EVIL in page.words
    assert not re.search(r"<!--", html.split("<script>")[0])


def test_long_curves_are_thinned_and_end_where_they_ended(sweep):
    comparison = sweep({(4, 2): [0.5]})
    comparison.runs[0].rows = [{"epoch": n, "val/loss": float(n)} for n in range(5001)]
    x, y = page_data(comparison)["runs"][0]["curves"]["val/loss"]
    assert len(x) <= 400
    assert (x[-1], y[-1]) == (5000, 5000.0)

"""The site builds without a warning, fetches nothing, and has every option with its meaning."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pages import TOP

pytestmark = pytest.mark.slow

CONF = TOP / "conf"
OPTIONS = sorted(path.relative_to(CONF) for path in CONF.glob("*/**/[!_]*.yaml"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site."""
    folder = tmp_path_factory.mktemp("site") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=TOP, capture_output=True, text=True, timeout=400)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.fixture(scope="module")
def option_pages(site):
    """The text of the page of each group, without its tags."""
    return {page.stem: re.sub(r"<[^>]*>", "", page.read_text()) for page in (site / "options").glob("*.html")}


def test_every_page_of_the_repository_is_a_page_of_the_site(site):
    for page in (TOP / "docs").glob("**/*.md"):
        assert (site / page.relative_to(TOP / "docs").with_suffix(".html")).is_file(), page


def test_nothing_is_fetched_from_elsewhere(site):
    loads = re.compile(r'<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)="(https?:)?//(?!localhost)')
    for page in site.glob("**/*.html"):
        assert not loads.search(re.sub(r'<link rel="canonical"[^>]*>', "", page.read_text())), page


def test_a_link_to_a_file_outside_of_docs_leads_to_a_page_that_shows_it(site):
    page = (site / "parts.html").read_text()
    assert 'href="repository/benchmarks/RESULTS.html#python--m-benchmarksattention"' in page
    assert 'id="python--m-benchmarksattention"' in (site / "repository/benchmarks/RESULTS.html").read_text()
    assert "def forward_stages" in re.sub(r"<[^>]*>", "", (site / "repository/vitlab/models/vit.py.html").read_text())


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_every_option_is_on_the_page_of_its_group_with_all_its_settings(option, option_pages):
    page = option_pages[option.parent.as_posix().replace("/", "-")]
    assert re.search(rf"^{option.stem}\b", page, re.MULTILINE)
    for key in _leaves(yaml.safe_load((CONF / option).read_text()) or {}):
        assert re.search(rf"^{re.escape(key)}$", page, re.MULTILINE), key


def test_no_setting_is_without_a_meaning(site):
    empty = re.compile(r"<td><code>([^<]*)</code></td>\s*<td><code>[^<]*</code></td>\s*<td></td>")
    for page in (site / "options").glob("*.html"):
        assert not empty.findall(page.read_text()), page.name


def test_a_page_for_each_public_class_of_the_parts_is_made_from_its_docstring(site):
    page = re.sub(r"<[^>]*>", "", (site / "reference/parts.html").read_text())
    targets = re.findall(r"^_target_: vitlab\.models\.[\w.]*?(\w+)$", _all_of("model"), re.MULTILINE)
    for name in set(targets) - {"ViT"}:
        assert re.search(rf"^\s*{name}\b", page, re.MULTILINE), name


def _all_of(group: str) -> str:
    return "\n".join(path.read_text() for path in (CONF / group).glob("**/*.yaml"))


def _leaves(node, prefix=""):
    for key, value in node.items():
        if key in ("defaults", "hydra", "_target_", "_partial_"):
            continue
        if isinstance(value, dict) and value and not Path(key).suffix:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"

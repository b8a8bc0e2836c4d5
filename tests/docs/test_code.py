"""The Python blocks of the pages run, and make the pictures that stand on them."""

import pytest
from pages import PAGES, TOP, blocks, pictures, run_python

pytestmark = pytest.mark.slow

WITH_CODE = [page for page in PAGES if any(block.language == "python" for block in blocks(page))]


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: str(page.relative_to(TOP)))
def test_the_python_of_a_page_runs_from_top_to_bottom_and_makes_its_pictures(page, bench, tmp_path, monkeypatch):
    folder = tmp_path / "lab"
    bench(folder)
    monkeypatch.syspath_prepend(folder)
    run_python(page, folder)
    for picture in pictures(page) if page.parent.name == "how_a_vit_works" else []:
        assert (folder / picture).stat().st_size > 0, f"no block of {page.name} makes {picture}"


def test_every_picture_of_a_page_is_in_the_repository():
    for page in PAGES:
        for picture in pictures(page):
            assert (page.parent / picture).is_file(), f"{page.name}: {picture}"


def test_every_page_of_how_a_vit_works_has_code_and_a_picture():
    for page in (TOP / "docs/how_a_vit_works").glob("[!i]*.md"):
        assert page in WITH_CODE
        assert pictures(page)

"""Every command line of README and docs is run, in a short form: none can rot."""

import shutil
import subprocess
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import warm
from pages import PAGES, TOP, blocks, commands
from short import Short, short

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # the first line of a page waits for all of it

AT_ONCE = 2


def _lines():
    """Each command line once, at the first place where it stands."""
    seen = set()
    for page in PAGES:
        for place, words in commands(page):
            if tuple(words) not in seen:
                seen.add(tuple(words))
                yield pytest.param(page, place, words, id=f"{place} {' '.join(words)}"[:120])


def _once(words):
    """The commands of a line: ``pip install … && python -m vitlab.train`` are two."""
    while "&&" in words:
        yield words[: words.index("&&")]
        words = words[words.index("&&") + 1 :]
    yield words


@pytest.fixture(scope="module")
def outcome(request, bench, environment, tmp_path_factory):
    """``outcome(place)``: exit code and output of the line there. Lines of a page run in their order, in one folder."""
    wanted = {}
    for item in request.session.items:
        if item.path == request.path and "place" in getattr(item, "callspec", item).__dict__.get("params", {}):
            wanted.setdefault(item.callspec.params["page"], []).append(item.callspec.params)

    def run_page(page):
        folder = tmp_path_factory.mktemp("page") / "lab"
        bench(folder)
        for block in blocks(page):
            if block.file is not None:
                (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
                (folder / block.file).write_text(block.text)
        return {line["place"]: _run(folder, short(line["words"]), environment) for line in wanted[page]}

    with ThreadPoolExecutor(AT_ONCE) as pool:
        pages = {page: pool.submit(run_page, page) for page in wanted}
        yield lambda page, place: pages[page].result()[place]


def _run(folder: Path, line: Short, environment):
    if line.module is None:
        return 0, ""
    try:
        done = warm.run(line.module, line.arguments, folder, environment, 240)
    except subprocess.TimeoutExpired as error:
        return None, f"{error}\n{error.stdout}\n{error.stderr}"
    if line.leaves is not None:
        shutil.copytree(folder / "multirun/DATE/TIME", folder / line.leaves)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(("page", "place", "words"), list(_lines()))
def test_every_command_line_of_a_page_does_what_it_is_there_for(page, place, words, outcome):
    for command in _once(words):
        line = short(command)
        extras = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        for need in line.needs:
            assert need in extras or (TOP / need).is_file(), f"{place}: there is no {need}"
        assert line.module is None or (TOP / f"{line.module.replace('.', '/')}.py").is_file()
    code, said = outcome(page, place)
    assert code == 0, f"{place}: {' '.join(words)}\n{said}"

"""The pages of the repository: their blocks of code, and the command lines in them."""

import contextlib
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).parents[2]
PAGES = [TOP / "README.md", TOP / "CONTRIBUTING.md", *sorted((TOP / "docs").glob("**/*.md"))]
_FENCE = re.compile(r"^( *)(`{3,})(.*)$")


@dataclass(frozen=True)
class Block:
    """A fenced block: what follows its fence, its text, and the line of its first line, from 1."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(TOP)}:{self.line}"

    @property
    def file(self) -> str | None:
        """The file that a block is, which it names in its first line: ``# my_lab.py``."""
        named = re.match(r"# ([\w/]+\.(?:py|yaml))\n", self.text)
        return named[1] if named else None


def blocks(page: Path) -> Iterator[Block]:
    """All fenced blocks of a page."""
    opened, begun, lines = None, 0, []
    for number, line in enumerate(page.read_text().splitlines(), 1):
        fence = _FENCE.match(line)
        if opened is None and fence:
            opened, begun, lines = fence, number + 1, []
        elif opened is not None and line.strip() == opened[2]:
            yield Block(page, begun, opened[3].strip(), "".join(f"{line}\n" for line in lines))
            opened = None
        elif opened is not None:
            lines.append(line.removeprefix(opened[1]))


def commands(page: Path) -> Iterator[tuple[str, list[str]]]:
    """The command lines of a page, as their place and their words: each line of a block without a language."""
    for block in blocks(page):
        if block.language:
            continue
        number, text = block.line, block.text.replace("\\\n", "\0")
        for line in text.splitlines():
            words = shlex.split(line.replace("\0", " "), comments=True)
            if words:
                yield f"{page.relative_to(TOP)}:{number}", words
            number += 1 + line.count("\0")


def run_python(page: Path, folder: Path) -> None:
    """Run the Python blocks of a page in order, in one namespace, with ``folder`` as the current one.

    A block that names itself a file (``# my_lab.py``) is written to that file first.
    """
    with contextlib.chdir(folder):
        for block in blocks(page):
            if block.file is not None:
                Path(block.file).parent.mkdir(parents=True, exist_ok=True)
                Path(block.file).write_text(block.text)
        namespace: dict[str, object] = {"__name__": page.stem}
        for block in blocks(page):
            if block.language == "python":
                source = "\n" * (block.line - 1) + block.text  # so that a traceback names the line of the page
                exec(compile(source, str(page), "exec"), namespace)


def pictures(page: Path) -> list[str]:
    """Files of the pictures that stand on a page."""
    return re.findall(r"!\[[^]]*\]\(([^):]+)\)", page.read_text())


if __name__ == "__main__":  # makes the pictures of pages anew: python tests/support/pages.py docs/…/patches.md
    for argument in sys.argv[1:]:
        run_python(Path(argument).resolve(), Path(argument).parent)

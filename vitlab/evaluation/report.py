"""An evaluation as files: JSON for programs, Markdown and pictures for a repository, one page of HTML for a reader."""

from pathlib import Path
from typing import Any

from vitlab.evaluation.figures import draw
from vitlab.evaluation.page import embedded, render
from vitlab.evaluation.words import sentences
from vitlab.runs import write_json

JSON, PAGE = "evaluation.json", "report.html"


def write(found: dict[str, Any], folder: Path, command: str) -> None:
    """Write all of them into ``folder``, over those of before.

    Args:
        found: what ``vitlab.evaluate`` has found.
        folder: made if it is not there.
        command: which made it.

    Raises:
        OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures = draw(found, folder)
    templates = Path(__file__).parent
    shown = {"found": found, "title": found["title"], "sentences": sentences(found), "command": command}
    page = render(templates / "report.html.j2", pictures=embedded(pictures), generator="vitlab.evaluate", **shown)
    text = render(templates / "report.md.j2", pictures=[path.name for path in pictures], **shown)
    write_json(folder / JSON, found)
    (folder / PAGE).write_text(page, encoding="utf-8", errors="replace")  # the name of a file need not be Unicode
    (folder / "report.md").write_text(text, encoding="utf-8", errors="replace")

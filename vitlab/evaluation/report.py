"""An evaluation as files: JSON for programs, Markdown and pictures for a repository, one page of HTML for a reader."""

import base64
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from vitlab import __version__
from vitlab.evaluation.figures import draw
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
    write_json(folder / JSON, found)
    pictures = draw(found, folder)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    shown = {"found": found, "sentences": sentences(found), "command": command, "version": __version__}
    images = {path.stem: base64.b64encode(path.read_bytes()).decode() for path in pictures}
    page = environment.get_template("report.html.j2").render(**shown, pictures=images)
    (folder / PAGE).write_text(page, encoding="utf-8")
    text = environment.get_template("report.md.j2").render(**shown, pictures=[path.name for path in pictures])
    (folder / "report.md").write_text(text, encoding="utf-8")

"""A page of HTML that needs nothing else: its pictures lie in it, and every word of a stranger is text."""

import base64
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from vitlab import __version__
from vitlab.errors import printable


def render(template: Path, **shown: Any) -> str:
    """``template`` with what it shows, ``version`` among it; one of HTML may extend ``page.html.j2`` of this folder.

    Args:
        template: a file whose name ends in ``.html.j2`` where its words are to be escaped.
        shown: ``page.html.j2`` takes ``title``, ``generator``, ``sentences`` and ``command``.
    """
    environment = Environment(
        loader=FileSystemLoader([template.parent, Path(__file__).parent]),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters["markdown"] = _as_markdown
    return environment.get_template(template.name).render(version=__version__, **shown)


def _as_markdown(words: str) -> str:
    """Words as text of Markdown: no link, no picture, no tag."""
    return re.sub(r"([\\`\[\]])", r"\\\1", printable(words)).replace("<", "&lt;")


def embedded(pictures: Iterable[Path]) -> dict[str, str]:
    """PNG files as text for a page, by their names without the ending."""
    return {path.stem: base64.b64encode(path.read_bytes()).decode() for path in pictures}

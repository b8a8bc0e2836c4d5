"""All files of a comparison in one folder."""

from pathlib import Path

from vitlab.comparison import figures, page, tables
from vitlab.comparison.comparing import Comparison
from vitlab.errors import VitlabError


def write(comparison: Comparison, output: Path) -> list[Path]:
    """Write ``comparison.csv``, the pictures, and ``comparison.html``, which needs nothing else to be opened.

    Args:
        comparison: of runs.
        output: the folder; made if it is not there, and files of an older comparison in it are replaced.

    Returns:
        The files, the page first.

    Raises:
        VitlabError: the folder cannot be written.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        (output / "comparison.html").write_text(page.render(comparison), encoding="utf-8")
        tables.write_csv(comparison, output / "comparison.csv")
        pictures = figures.draw(comparison, output)
    except OSError as error:
        raise VitlabError(f"output={output} cannot be written: {error.strerror or error}") from error
    return [output / "comparison.html", output / "comparison.csv", *pictures]

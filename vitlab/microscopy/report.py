"""An observation as files: JSON, CSV and tensors for programs, pictures for a paper, one page of HTML for a reader."""

import csv
from pathlib import Path
from typing import Any

from safetensors.torch import save

from vitlab.evaluation.page import embedded, render
from vitlab.microscopy.figures import draw
from vitlab.microscopy.observing import Observation
from vitlab.microscopy.words import sentences
from vitlab.runs import write_json

JSON, TABLE, MAPS, PAGE = "microscope.json", "ablation.csv", "maps.safetensors", "report.html"


def write(observation: Observation, folder: Path, command: str) -> list[Path]:
    """Write all of them into ``folder``, in place of those of before.

    Args:
        observation: what ``vitlab.microscope`` has seen.
        folder: made if it is not there.
        command: which made it.

    Returns:
        The pictures.

    Raises:
        OSError: it cannot be written.
    """
    found = observation.found
    folder.mkdir(parents=True, exist_ok=True)
    pictures = draw(observation, folder)
    page = render(
        Path(__file__).parent / "report.html.j2",
        found=found,
        title=found["title"],
        sentences=sentences(found),
        pictures=embedded(pictures),
        command=command,
        generator="vitlab.microscope",
    )
    for old in {*folder.glob("*.png"), folder / TABLE} - set(pictures):
        old.unlink(missing_ok=True)
    write_json(folder / JSON, found)
    (folder / MAPS).write_bytes(save(observation.maps.tensors()))
    if "ablation" in found:
        write_table(found["ablation"]["rows"], folder / TABLE)
    (folder / PAGE).write_text(page, encoding="utf-8", errors="replace")  # the name of a file need not be Unicode
    return pictures


def write_table(rows: list[dict[str, Any]], path: Path) -> None:
    """A row for each part that was taken out."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["part", "block", "head", "accuracy", "drop", "drop_low", "drop_high"])
        writer.writerows(
            [*(row[key] for key in ("part", "block", "head", "accuracy", "drop")), *row["drop_95"]] for row in rows
        )

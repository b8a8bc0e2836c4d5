"""A comparison as a table: in the terminal, and as CSV."""

import csv
import math
from pathlib import Path
from typing import TextIO

import rich.console
from rich.table import Table

from vitlab.analysis.figures import amount
from vitlab.comparison.comparing import Comparison, Group

_WIDE = 140  # columns of a table that goes to no terminal
_COLUMNS = ("seeds", "parameters", "FLOPs", "seconds")
_FIGURES = ("val_accuracy", "test_accuracy", "val_loss", "test_loss", "parameters", "flops_per_image", "seconds")


def show(comparison: Comparison, words: list[str], stream: TextIO | None = None) -> None:
    """Print the table, best first, and the sentences below it."""
    out = rich.console.Console(file=stream, markup=False, highlight=False, emoji=False)
    if not out.is_terminal:
        out.width = _WIDE
    keys = [key.short for key in comparison.keys] or ["run"]
    table = Table(*keys, comparison.metric, *_COLUMNS)
    for column in table.columns:
        column.justify = "right"
    for group in comparison.groups:
        table.add_row(*(group.values or (group.runs[0].name,)), *_cells(comparison, group))
    out.print(table)
    for name, reason in comparison.left_out:
        out.print(f"left out {name}: {reason}", soft_wrap=True)
    for sentence in words:
        out.print(sentence, soft_wrap=True)


def metric_text(comparison: Comparison, group: Group) -> str:
    """``97.2 ± 0.4 %``, mean and half of the interval, of a share; three digits of another metric."""
    found = comparison.interval(group)
    factor, form, unit = (100, ".2f", " %") if comparison.is_share else (1, ".4g", "")
    spread = "" if math.isnan(found.half) else f" ± {factor * found.half:{form}}"
    return f"{factor * found.mean:{form}}{spread}{unit}"


def write_csv(comparison: Comparison, path: Path) -> None:
    """One line a run: folder, keys, seed, figures."""
    figures = [name for name in _FIGURES if any(name in run.figures for run in comparison.runs)]
    figures += [comparison.metric] if comparison.metric not in figures else []
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["run", *(key.name for key in comparison.keys), "seed", *figures])
        for group in comparison.groups:
            for run in group.runs:
                writer.writerow([run.path, *group.values, run.seed, *(run.figures.get(name, "") for name in figures)])


def _cells(comparison: Comparison, group: Group) -> list[str]:
    parameters, flops, seconds = (group.figure(name) for name in ("parameters", "flops_per_image", "seconds"))
    sizes = [amount(value) if value is not None else "–" for value in (parameters, flops)]
    return [metric_text(comparison, group), str(len(group.metric)), *sizes, f"{seconds:.3g}" if seconds else "–"]

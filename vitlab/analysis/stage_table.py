"""The stages of a model as a table for the terminal."""

import io
import textwrap

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vitlab.analysis.anatomy import Anatomy, Section
from vitlab.analysis.facts import NOTE
from vitlab.analysis.figures import amount, share
from vitlab.analysis.teaching import LETTERS

_LONGEST_NAME = 25  # characters; a longer one takes two lines


def render(anatomy: Anatomy, facts: list[tuple[str, str]], title: str, width: int, colours: bool) -> str:
    """The table and the facts beneath it, as text.

    Args:
        anatomy: of the model.
        facts: pairs of a heading and its sentences.
        title: above the table.
        width: in characters; from 80 up.
        colours: whether bold and colours are written, for a terminal.
    """
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=colours, highlight=False)
    console.print(Text(title, "bold"))
    console.print(_table(anatomy))
    console.print(Text(_letters(anatomy, width), "dim"))
    console.print(Text(NOTE, "dim"))
    console.print()
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column()
    for heading, sentence in facts:
        grid.add_row(Text(heading), Text(sentence))
    console.print(grid)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _table(anatomy: Anatomy) -> Table:
    table = Table(box=box.SIMPLE, show_footer=True, pad_edge=False, padding=(0, 1))
    table.add_column("stage", "total", max_width=_LONGEST_NAME)
    table.add_column("formula", overflow="fold")
    table.add_column("shape", no_wrap=True)
    table.add_column("parameters", f"{anatomy.parameters:,}", justify="right", no_wrap=True)
    table.add_column("FLOPs", amount(anatomy.flops), justify="right", no_wrap=True)
    table.add_column("share", "100%", justify="right", no_wrap=True)
    for section in anatomy.sections:
        _add(table, section, anatomy)
    return table


def _add(table: Table, section: Section, anatomy: Anatomy) -> None:
    is_block = bool(section.blocks)
    if is_block:
        whole = share(section.flops / anatomy.flops if anatomy.flops else 0)
        figures = (f"{section.parameters:,}", amount(section.flops), whole)
        heading = section.heading
        formula = f"{heading.formula}\n{heading.detail}".strip()
        table.add_row(*map(Text, (heading.name, formula, "", *figures)), style="bold")
    in_attention = False
    for stage in section.stages:
        if stage.of_attention and not in_attention and section.attention:
            table.add_row(Text("  attention"), Text(section.attention.formula), style="italic")
        in_attention = stage.of_attention
        name = "  " * (is_block + stage.of_attention) + stage.name
        table.add_row(
            Text(name),
            Text(stage.formula),
            Text("×".join(map(str, stage.shape))),
            f"{stage.parameters:,}" if stage.parameters else "–",
            amount(stage.flops) if stage.flops else "–",
            share(anatomy.share_of_flops(stage, section.times)),
        )
    table.add_section()


def _letters(anatomy: Anatomy, width: int) -> str:
    """What the letters stand for, broken between two of them only."""
    shown = [f"{x} = {anatomy.sizes[x]:,} {LETTERS[x]}" for x in LETTERS if x in anatomy.sizes]
    hard, soft = "\N{NO-BREAK SPACE}", " "
    return textwrap.fill(", ".join(item.replace(soft, hard) for item in shown), width).replace(hard, soft)

"""A comparison as one page of HTML that needs nothing else: a table that sorts, charts whose runs can be hidden."""

import json
import math
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from vitlab import __version__
from vitlab.comparison.comparing import Comparison, value_of
from vitlab.comparison.pareto import COSTS
from vitlab.comparison.words import sentences

_TEMPLATE = "page.html.j2"
_FIGURES = ("val_accuracy", "test_accuracy", "parameters", "flops_per_image", "seconds")
_MOST_POINTS = 400  # of a curve; more are thinned out


def render(comparison: Comparison) -> str:
    """The page. Every word in it that came from a run is data, and never markup or script."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    data = page_data(comparison)
    return environment.get_template(_TEMPLATE).render(
        comparison=comparison,
        columns=data["columns"],
        sentences=sentences(comparison),
        version=__version__,
        plotly=Markup(get_plotlyjs()),  # noqa: S704 -- the library's own script
        data=Markup(_inside_script(data)),  # noqa: S704 -- escaped
    )


def page_data(comparison: Comparison) -> dict[str, Any]:
    """What the charts are drawn from: plain values."""
    figures = list(dict.fromkeys([comparison.metric, *_FIGURES]))
    figures = [name for name in figures if any(name in run.figures for run in comparison.runs)]
    return {
        "metric": comparison.metric,
        "sign": comparison.sign,
        "isShare": comparison.is_share,
        "keys": [key.name for key in comparison.keys],
        "levels": [comparison.levels(key) for key in comparison.keys],
        "costs": COSTS,
        "columns": ["run", *(key.name for key in comparison.keys), "seed", *figures],
        "runs": [
            {
                "name": run.name,
                "values": [value_of(run, key) for key in comparison.keys],
                "seed": run.seed,
                "figures": {name: _finite(run.figures.get(name)) for name in figures},
                "curves": {key: _thinned(*run.curve(key)) for key in ("val/accuracy", "val/loss", "train/loss")},
            }
            for group in comparison.groups
            for run in group.runs
        ],
    }


def _inside_script(data: Any) -> str:
    """JSON in which nothing can end the script element that holds it."""
    text = json.dumps(data, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _thinned(x: list[float], y: list[float]) -> list[list[float]]:
    stride = max(1, math.ceil(len(x) / _MOST_POINTS))
    return [[round(value, 6) for value in values[::-1][::stride][::-1]] for values in (x, y)]

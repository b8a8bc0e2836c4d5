"""``python -m vitlab.explain``: a model step by step, with what each stage computes and costs."""

import shutil
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from vitlab.config.build import build, refusals_of
from vitlab.config.command import run_command
from vitlab.config.compose import resolved
from vitlab.config.rules import refuse_illegal, whole_number
from vitlab.errors import VitlabError, did_you_mean

if TYPE_CHECKING:
    from vitlab.analysis.anatomy import Anatomy
    from vitlab.analysis.fused import Comparison
    from vitlab.models.vit import ViT

_FORMATS = ("table", "html")
_PAGE = "explain.html"
_CLASSES = 10  # where they would be counted in a folder of images, which is not read here
_IMAGES = 4  # random ones, on which eager and fused attention are compared; fewer if there are very many tokens
_MOST_WEIGHTS = 2**26  # a quarter of a gigabyte
_PLAIN_WIDTH, _NARROWEST = 100, 80  # characters: of lines that go to no terminal, and of any
_MARK = b'content="vitlab.explain"'  # in every page, so that nothing else is replaced


def main() -> None:
    """The command line."""
    run_command(explain, "explain", flags=("format", "output"))


def explain(cfg: DictConfig) -> None:
    """Print the stages of a model as a table, or write them as a page.

    Raises:
        VitlabError: a setting is illegal, a part refuses its sizes, the model is no ``ViT``, or the page cannot be
            written.
    """
    page = _page(cfg)
    counted_later = cfg.data.get("num_classes", 0) is None
    if counted_later:
        cfg.data.num_classes = _CLASSES
    settings = resolved(cfg)
    refuse_illegal(settings, [])
    whole_number(settings, "seed", 0)

    import torch

    from vitlab.analysis.facts import facts
    from vitlab.analysis.stage_page import render as render_page
    from vitlab.analysis.stage_table import render as render_table
    from vitlab.models.vit import ViT

    torch.manual_seed(settings.seed)
    model = build(settings, "model", settings.allow_targets)
    if not isinstance(model, ViT):
        kind = type(model).__name__
        raise VitlabError(f"model is of class {kind}; explain knows vitlab.models.vit.ViT, whatever its parts")
    channels = settings.model.get("channels", settings.data.channels)
    size = settings.model.get("image_size", settings.data.image_size)
    with refusals_of("model"):
        anatomy, comparison = _measured(model, channels, size)
    found = facts(anatomy, comparison)
    if counted_later:
        found.append(("Classes", f"Counted in the folder when a run begins; {_CLASSES} are assumed here."))
    title = _title(f"images of {size} × {size} × {channels}, {anatomy.sizes['K']} classes")
    if page is None:
        width = shutil.get_terminal_size((_PLAIN_WIDTH, 0)).columns if sys.stdout.isatty() else _PLAIN_WIDTH
        _print(render_table(anatomy, found, title, max(width, _NARROWEST), sys.stdout.isatty()))
    else:
        command = " ".join(["python -m vitlab.explain", *HydraConfig.get().overrides.task])
        _write(page, render_page(anatomy, found, title, command, model.layout.grid_size))


def _measured(model: "ViT", channels: int, size: int) -> "tuple[Anatomy, Comparison | None]":
    import torch

    from vitlab.analysis.fused import compare_paths
    from vitlab.analysis.stages import anatomy_of

    anatomy = anatomy_of(model, channels, size)
    weights = anatomy.sizes.get("H", 1) * anatomy.sizes["T"] ** 2  # of one image in one block, written out
    images = max(1, min(_IMAGES, _MOST_WEIGHTS // weights))
    return anatomy, compare_paths(model, torch.randn(images, channels, size, size))


def _title(images: str) -> str:
    choices = HydraConfig.get().runtime.choices
    return f"{choices['model']} for {choices['data']}: {images}"


def _page(cfg: DictConfig) -> Path | None:
    """Where the page goes, or None for a table; refused before anything is built."""
    if cfg.format not in _FORMATS:
        hint = did_you_mean(str(cfg.format), _FORMATS)
        raise VitlabError(f"format={cfg.format} is not one of {', '.join(_FORMATS)}{hint}")
    if cfg.format == "table":
        if cfg.output is not None:
            raise VitlabError(
                f"output={cfg.output} is where a page goes, and the table goes to the screen; add format=html"
            )
        return None
    page = Path(str(cfg.output or _PAGE)).expanduser()
    if page.is_dir():
        raise VitlabError(f"output={page} is a folder; try output={page / _PAGE}")
    if not page.parent.is_dir():
        raise VitlabError(f"output={page}: there is no folder {page.parent}; make it, or try output={page.name}")
    if page.exists() and _MARK not in page.read_bytes():
        raise VitlabError(
            f"output={page} exists and is no page of vitlab.explain, so it is left alone; name another file"
        )
    return page


def _print(table: str) -> None:
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without the letters of mathematics gets a ? for each
    print(table, end="")


def _write(page: Path, html: str) -> None:
    was_there = page.exists()
    try:
        page.write_text(html, encoding="utf-8")
    except OSError as error:
        raise VitlabError(f"output={page} cannot be written: {error.strerror}") from error
    print(f"{page.resolve()}{' (an older page was replaced)' if was_there else ''}")


if __name__ == "__main__":
    main()

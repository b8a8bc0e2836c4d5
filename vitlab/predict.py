"""``python -m vitlab.predict``: what a trained model sees in images of any size and mode."""

import csv
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from vitlab.config.build import build, refusals_of
from vitlab.config.command import run_command
from vitlab.config.compose import plain
from vitlab.config.rules import whole_number
from vitlab.engine.stop import GracefulStop
from vitlab.errors import Interrupted, VitlabError, printable
from vitlab.evaluation.images import left_out, named, read
from vitlab.runs import write_json
from vitlab.trained import Trained, choose, load_trained

if TYPE_CHECKING:  # torch is imported only once there is something to predict
    from vitlab.evaluation.predictions import Predictor

_SHEET = "contact_sheet.png"


def main() -> None:
    """The command line."""
    run_command(predict, "predict")


def predict(cfg: DictConfig) -> None:
    """Write the classes and probabilities of images as CSV, JSON and a contact sheet.

    Raises:
        VitlabError: there is no such run or image, or the folder cannot be written; or, when the others are done, some
            files are no images.
    """
    for key in ("top", "batch_size"):
        whole_number(cfg, key, 1, needed=True)
    if cfg.output is None:
        raise VitlabError("output=null names no folder; try output=predictions")
    if cfg.images is None:
        raise VitlabError("images= is missing: it names a file, a folder or a list of them, as in images=holiday")
    folder = Path(str(cfg.output)).expanduser()
    run, paths = choose(cfg), named(plain(cfg)["images"], but=folder / _SHEET)
    with GracefulStop() as stop:
        try:
            with stop.at_once():
                trained = load_trained(run, cfg.checkpoint, cfg.allow_targets)
                rows, broken = _predicted(cfg, trained, paths, stop)
        except Interrupted:
            print("vitlab: stopped; nothing was written", file=sys.stderr)
            raise
        try:
            _write(rows, broken, folder, cfg.top)  # whole, though a signal comes
        except OSError as error:
            raise VitlabError(f"output={cfg.output} cannot be written: {error.strerror or error}") from error
    for row in rows[:10]:
        seen = ", ".join(f"{name} {share:.1%}" for name, share in row["classes"])
        print(printable(f"{row['image']}: {seen}"))
    if len(rows) > 10:
        print(f"and {len(rows) - 10} more")
    if rows:
        print(f"{os.path.relpath(folder)}: predictions.csv, predictions.json, {_SHEET}")
    if broken:
        raise VitlabError(left_out(broken, len(paths)))


def _predicted(
    cfg: DictConfig, trained: Trained, paths: list[Path], stop: GracefulStop
) -> tuple[list[dict[str, Any]], list[str]]:
    """A row for each image, and what is wrong with the files that are none."""
    predictor = _predictor(cfg, trained, stop)
    settings = trained.settings.data
    rows: list[dict[str, Any]] = []
    broken: list[str] = []
    for start in range(0, len(paths), cfg.batch_size):
        batch = paths[start : start + cfg.batch_size]
        images, good, wrong = read(batch, settings.image_size, settings.channels)
        broken += wrong
        if not good:
            continue
        shares = predictor.logits(images.to(predictor.precision.device)).softmax(dim=1).cpu()
        best, labels = shares.topk(min(cfg.top, shares.shape[1]), dim=1)
        for path, of_image, numbers in zip(good, best.tolist(), labels.tolist(), strict=True):
            names = [trained.class_names[number] for number in numbers]
            rows.append({"image": str(path), "classes": list(zip(names, of_image, strict=True))})
    return rows, broken


def _predictor(cfg: DictConfig, trained: Trained, stop: GracefulStop) -> "Predictor":
    from vitlab.engine.device import pick_device
    from vitlab.engine.precision import Precision
    from vitlab.evaluation.predictions import Predictor

    with refusals_of("device"):
        device = pick_device(cfg.device)
    augment = build(trained.settings, "augment", cfg.allow_targets)
    precision = Precision(trained.settings.trainer.precision, device)
    return Predictor(trained.model.to(device), augment, precision, stop)


def _write(rows: list[dict[str, Any]], broken: list[str], folder: Path, top: int) -> None:
    from vitlab.evaluation.contact_sheet import contact_sheet

    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "predictions.json", {"images": rows, "left_out": broken})
    table, sheet = folder / "predictions.csv", folder / _SHEET
    if not rows:
        for old in (table, sheet):
            old.unlink(missing_ok=True)
        return
    count = min(top, len(rows[0]["classes"]))
    header = ["image", *(f"{kind}_{place}" for place in range(1, count + 1) for kind in ("class", "probability"))]
    with table.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows([row["image"], *(value for pair in row["classes"] for value in pair)] for row in rows)
    contact_sheet(rows, sheet)


if __name__ == "__main__":
    main()

"""An observation at W&B: its pictures, findings and table, as a run beside that of the training."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from vitlab.microscopy.words import sentences


def send(
    make: Callable[..., Any],
    told: tuple[dict[str, Any], str | None, str],
    folder: Path,
    found: dict[str, Any],
    pictures: list[Path],
) -> str | None:
    """Send the observation in ``folder``; the same folder is the same run at W&B.

    Args:
        make: makes the tracker.
        told: what it is told of the run: config, sweep, name.
        folder: where the observation was written.
        found: its figures.
        pictures: its pictures.

    Returns:
        One sentence for the user; None where W&B is switched off.
    """
    said: list[str] = []
    try:
        config, sweep, name = told
        tracker = make(folder, config, sweep, name, said.append)
        try:
            tracker.log_media(_media(found, pictures))
        finally:
            tracker.finish(_summary(found), 0)
    except Exception as error:  # of whatever kind: the files are there, and W&B never ends a command
        return f"W&B has nothing of it: {(str(error).splitlines() or [type(error).__name__])[0]}"
    return said[-1] if said else None


def _media(found: dict[str, Any], pictures: list[Path]) -> dict[str, Any]:
    import wandb

    findings = wandb.Table(columns=["finding"], data=[[sentence] for sentence in sentences(found)])
    media = {"findings": findings, **{path.stem: wandb.Image(str(path)) for path in pictures}}
    if "ablation" in found:
        columns: list[str | int] = ["part", "block", "head", "accuracy", "drop"]
        rows = [[row[column] for column in columns] for row in found["ablation"]["rows"]]
        media["parts"] = wandb.Table(columns=columns, data=rows)
    return media


def _summary(found: dict[str, Any]) -> dict[str, Any]:
    return {"similarity_at_the_end": found["similarity"][-1], "rollout_agreement": found["agreement"]}

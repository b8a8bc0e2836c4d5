"""An observation at W&B: its pictures, findings and table, as a run beside that of the training."""

from pathlib import Path
from typing import Any

from vitlab.microscopy.words import sentences


def send(tracker: Any, found: dict[str, Any], pictures: list[Path]) -> str | None:
    """Send an observation through ``tracker``, and close it.

    Args:
        tracker: of W&B.
        found: figures.
        pictures: as they were drawn.

    Returns:
        What went wrong, in one sentence; None if nothing did.
    """
    try:
        try:
            tracker.log_media(_media(found, pictures))
        finally:
            tracker.finish(_summary(found), 0)
    except Exception as error:  # of whatever kind: the files are there, and W&B never ends a command
        return f"W&B has not all of it: {(str(error).splitlines() or [type(error).__name__])[0]}"
    return None


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

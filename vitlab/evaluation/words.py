"""An evaluation in sentences."""

import math
from typing import Any

import numpy as np

from vitlab.evaluation.corruptions import CORRUPTIONS
from vitlab.evaluation.measures import MOST_LOG
from vitlab.evaluation.robustness import mean_corrupted


def accuracy(found: dict[str, Any]) -> str:
    """``97.2 % (95.0 to 98.5) of 360 images``: the interval is the 95 % one of so many images."""
    low, high = found["accuracy_95"]
    return f"{found['accuracy']:.2%} (95 % interval {low:.2%} to {high:.2%}) of {found['images']:,} images"


def calibration(found: dict[str, Any]) -> str:
    """Whether the model is surer than it is right."""
    bins, images = found["reliability"], found["images"]
    confidence = sum(one["images"] * one["confidence"] for one in bins) / images
    gap = confidence - found["accuracy"]
    error = f"calibration error {found['ece']:.1%}"
    if abs(gap) < 0.01:
        return f"as sure as it is right: {error}"
    return f"{'surer' if gap > 0 else 'less sure'} than it is right by {abs(gap):.1%}: {error}"


def hardest(found: dict[str, Any]) -> str:
    """The class with the least F1."""
    scores = [row["f1"] for row in found["classes"]]
    if len(scores) > 1 and min(scores) == max(scores):
        return f"all classes are as hard: F1 {scores[0]:.1%}"
    row = min(found["classes"], key=lambda row: row["f1"])
    return f"{row['class']} is hardest: F1 {row['f1']:.1%}"


def confused(found: dict[str, Any]) -> str:
    """The pair of classes that is mistaken most often."""
    table = np.array(found["confusion"])
    wrong = table * (1 - np.eye(len(table), dtype=int))
    if not wrong.any():
        return "no image is mistaken"
    row, column = np.unravel_index(wrong.argmax(), wrong.shape)
    names = [one["class"] for one in found["classes"]]
    return f"{names[row]} is taken for {names[column]} most often: {wrong[row, column]} of {table[row].sum()}"


def weakest(found: dict[str, Any]) -> str:
    """What the corruptions leave on average, and which leaves least."""
    damages = found["robustness"]

    def mean(name: str) -> float:
        return float(np.mean([row["accuracy"] for row in damages[name]]))

    worst = min(CORRUPTIONS, key=mean)
    told = f"corrupted: {mean_corrupted(damages):.1%} on average"
    if mean(worst) == max(map(mean, CORRUPTIONS)):
        return f"{told}, the same under each corruption"
    return f"{told}, {mean(worst):.1%} under {worst.replace('_', ' ')}"


def sentences(found: dict[str, Any]) -> list[str]:
    """What there is to say, the most important first."""
    told = [f"{found['split']} accuracy {accuracy(found)}, with the weights of step {found['step']}"]
    calibrated = found["calibrated"]
    bound = ", the bound of the search" if abs(math.log(calibrated["temperature"])) > MOST_LOG - 0.01 else ""
    told.append(
        f"{calibration(found)}; divided by the temperature {calibrated['temperature']:.2f} that fits val{bound}, "
        f"{calibrated['ece']:.1%}"
    )
    told += [hardest(found), confused(found)]
    if "mirrored" in found:
        told.append(f"with the mean of image and mirror image: {accuracy(found['mirrored'])}")
    if "robustness" in found:
        told.append(f"{weakest(found)} ({found['images_damaged']:,} images, corruptions made on the fly)")
    speed = found["speed"]
    told.append(
        f"{speed['images_per_second']:,.0f} images/s in batches of {speed['batch_size']}, "
        f"{speed['latency_ms']:.2f} ms for one (95th percentile {speed['latency_p95_ms']:.2f} ms), on {found['device']}"
    )
    return told

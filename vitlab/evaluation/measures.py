"""Measures of predictions: right or wrong, class by class, and how far the probabilities can be believed.

Those that torchmetrics has are torchmetrics'. N images, K classes.
"""

from dataclasses import dataclass
from typing import Any

import torch
from scipy.stats import binomtest
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_calibration_error,
    multiclass_confusion_matrix,
    multiclass_f1_score,
    multiclass_precision,
    multiclass_recall,
)

from vitlab.evaluation.predictions import Predictions

MOST_LOG = 4  # of the temperature, up or down: between 0.02 and 54.6 it is sought
BINS = 15  # of confidence, as Guo et al. 2017 take them


def interval(correct: int, images: int) -> tuple[float, float]:
    """The 95 % interval of an accuracy (Wilson 1927): what other draws of as many images would be expected to give."""
    found = binomtest(correct, images).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)


def measures(predictions: Predictions) -> dict[str, Any]:
    """Accuracy with its interval, top 5 where there are more than five classes, loss, calibration."""
    logits, labels = predictions.logits, predictions.labels
    images, classes = logits.shape
    correct = int((logits.argmax(dim=1) == labels).sum())
    found: dict[str, Any] = {
        "images": images,
        "accuracy": correct / images,
        "accuracy_95": list(interval(correct, images)),
        "loss": F.cross_entropy(logits.double(), labels).item(),  # the negative log-likelihood, in nats
        "ece": calibration_error(logits, labels),
        "brier": brier(logits, labels),
    }
    if classes > 5:
        found["top5_accuracy"] = multiclass_accuracy(logits, labels, classes, average="micro", top_k=5).item()
    return found


def calibration_error(logits: Tensor, labels: Tensor) -> float:
    """Expected calibration error: how far confidence and accuracy are apart in a bin, on average over the images.

    Guo et al. 2017, "On calibration of modern neural networks", equation 3.
    """
    shares = logits.softmax(dim=1).clamp(max=1 - 2**-24)  # torchmetrics gives 1 a bin of its own, beside the others
    return multiclass_calibration_error(shares, labels, logits.shape[1], n_bins=BINS, norm="l1").item()


def brier(logits: Tensor, labels: Tensor) -> float:
    """Brier's score (1950) over all classes: the mean of the summed squared errors of the probabilities, 0 to 2."""
    wanted = F.one_hot(labels, logits.shape[1])
    return (logits.double().softmax(dim=1) - wanted).square().sum(dim=1).mean().item()


def by_class(predictions: Predictions, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Precision, recall, F1 and number of images of each class."""
    logits, labels = predictions.logits, predictions.labels
    classes = logits.shape[1]
    count = torch.bincount(labels, minlength=classes).tolist()
    kinds = {"precision": multiclass_precision, "recall": multiclass_recall, "f1": multiclass_f1_score}
    columns = {kind: measure(logits, labels, classes, average=None).tolist() for kind, measure in kinds.items()}
    return [
        {"class": names[k], "images": count[k], **{kind: column[k] for kind, column in columns.items()}}
        for k in range(classes)
    ]


def confusion(predictions: Predictions) -> list[list[int]]:
    """How many images of each class (rows) are taken for which (columns)."""
    logits, labels = predictions.logits, predictions.labels
    table: list[list[int]] = multiclass_confusion_matrix(logits, labels, logits.shape[1]).tolist()
    return table


@dataclass(frozen=True)
class Bin:
    """The images whose confidence lies between ``low`` and ``high``."""

    low: float
    high: float
    images: int
    confidence: float
    accuracy: float


def reliability(predictions: Predictions) -> list[Bin]:
    """Confidence against accuracy, in bins of the same width; empty ones are left out."""
    confidence, taken_for = predictions.logits.softmax(dim=1).max(dim=1)
    right = (taken_for == predictions.labels).float()
    number = (confidence * BINS).ceil().long().clamp(1, BINS) - 1  # a bin's upper end belongs to it
    bins = []
    for k in range(BINS):
        inside = number == k
        if count := int(inside.sum()):
            means = confidence[inside].mean().item(), right[inside].mean().item()
            bins.append(Bin(k / BINS, (k + 1) / BINS, count, *means))
    return bins


def temperature(val: Predictions) -> float:
    """The number by which logits are best divided: that with the least loss on validation images.

    Guo et al. 2017, section 4.2. It changes the probabilities and no decision.
    """
    from scipy.optimize import minimize_scalar

    logits = val.logits.double()

    def loss(log_temperature: float) -> float:
        return F.cross_entropy(logits / torch.tensor(log_temperature).exp(), val.labels).item()

    return float(torch.tensor(minimize_scalar(loss, bounds=(-MOST_LOG, MOST_LOG), method="bounded").x).exp())

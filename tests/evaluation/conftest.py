"""A model whose answer is written in the image, and what an evaluation of it finds."""

import pytest
import torch
from torch import nn

from vitlab.engine.precision import Precision
from vitlab.engine.stop import GracefulStop
from vitlab.evaluation.corruptions import CORRUPTIONS
from vitlab.evaluation.predictions import Predictor


class Reader(nn.Module):
    """Three logits: the first three pixels of the top row."""

    def forward(self, images):
        return images[:, 0, 0, :3]


class AsFloats:
    def eval(self, images):
        return images.float()


class Split:
    """Six images of 4 px in batches of four; the brightest of the first three pixels is the label, but in the last."""

    def __init__(self):
        self.images = torch.zeros(6, 1, 4, 4, dtype=torch.uint8)
        self.labels = torch.tensor([0, 1, 2, 0, 1, 1])
        for number, seen in enumerate([0, 1, 2, 0, 1, 2]):
            self.images[number, 0, 0, seen] = 2 + number

    def epoch(self, number, start=0):
        for begin in (0, 4):
            yield self.images[begin : begin + 4], self.labels[begin : begin + 4]


@pytest.fixture
def split():
    return Split()


@pytest.fixture
def predictor():
    return Predictor(Reader(), AsFloats(), Precision("fp32", torch.device("cpu")), GracefulStop())


@pytest.fixture
def found():
    """An evaluation, made by hand."""
    of_all = {"images": 100, "accuracy": 0.8, "accuracy_95": [0.71, 0.87], "loss": 0.5, "ece": 0.15, "brier": 0.3}
    rows = [{"level": str(n), "accuracy": 0.7 - n / 10, "accuracy_95": [0.1, 0.9]} for n in range(1, 6)]
    fog = [{**row, "accuracy": 0.1} for row in rows]
    return {
        "title": "run: test",
        "split": "test",
        "checkpoint": "best",
        "step": 12,
        "device": "a CPU",
        **of_all,
        "calibrated": {"temperature": 2.0, "fitted_on": "val", **of_all, "ece": 0.02},
        "mirrored": {**of_all, "accuracy": 0.82},
        "classes": [
            {"class": "cat", "images": 50, "precision": 0.9, "recall": 0.7, "f1": 0.79},
            {"class": "dog", "images": 50, "precision": 0.75, "recall": 0.9, "f1": 0.82},
        ],
        "confusion": [[35, 15], [5, 45]],
        "reliability": [{"low": 0.9, "high": 1.0, "images": 100, "confidence": 0.95, "accuracy": 0.8}],
        "speed": {"batch_size": 8, "images_per_second": 1000.0, "latency_ms": 2.0, "latency_p95_ms": 3.0},
        "images_damaged": 100,
        "accuracy_of_these": 0.8,
        "robustness": {**dict.fromkeys(CORRUPTIONS, rows), "fog": fog, "shift": rows[:2]},
    }

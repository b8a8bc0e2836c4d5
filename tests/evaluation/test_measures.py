import math

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    brier_score_loss,
    confusion_matrix,
    log_loss,
    precision_recall_fscore_support,
    top_k_accuracy_score,
)

from vitlab.evaluation.measures import (
    brier,
    by_class,
    calibration_error,
    confusion,
    interval,
    measures,
    reliability,
    temperature,
)
from vitlab.evaluation.predictions import Predictions


@pytest.fixture
def predictions():
    draw = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 7, (500,), generator=draw)
    logits = torch.randn(500, 7, generator=draw) + 2 * torch.nn.functional.one_hot(labels, 7)
    return Predictions(logits, labels)


def test_the_measures_are_those_of_scikit_learn(predictions):
    found = measures(predictions)
    labels, probabilities = predictions.labels.numpy(), predictions.logits.double().softmax(1).numpy()
    assert found["accuracy"] == (probabilities.argmax(1) == labels).mean()
    assert found["loss"] == pytest.approx(log_loss(labels, probabilities), abs=1e-9)
    assert found["top5_accuracy"] == pytest.approx(top_k_accuracy_score(labels, probabilities, k=5))
    assert found["brier"] == pytest.approx(brier_score_loss(labels, probabilities, scale_by_half=False), abs=1e-9)
    assert confusion(predictions) == confusion_matrix(labels, probabilities.argmax(1)).tolist()
    precision, recall, f1, count = precision_recall_fscore_support(labels, probabilities.argmax(1))
    for k, row in enumerate(by_class(predictions, tuple("abcdefg"))):
        assert row["class"] == "abcdefg"[k]
        expected = [precision[k], recall[k], f1[k], count[k]]
        assert [row["precision"], row["recall"], row["f1"], row["images"]] == pytest.approx(expected)


def test_the_calibration_error_is_that_of_the_bins(predictions):
    bins = reliability(predictions)
    assert sum(one.images for one in bins) == 500
    by_hand = sum(one.images / 500 * abs(one.accuracy - one.confidence) for one in bins)
    assert calibration_error(predictions.logits, predictions.labels) == pytest.approx(by_hand, abs=1e-6)
    assert all(one.low < one.confidence <= one.high for one in bins)


def test_three_of_four_sure_answers_are_right():
    logits = torch.tensor([[20.0, 0.0]]).repeat(4, 1)
    labels = torch.tensor([0, 0, 0, 1])
    assert calibration_error(logits, labels) == pytest.approx(0.25, abs=1e-6)
    assert brier(logits, labels) == pytest.approx(2 / 4, abs=1e-6)
    assert "top5_accuracy" not in measures(Predictions(logits, labels))


def test_the_interval_is_wilsons():
    p, n, z = 0.9, 100, 1.959963984540054
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert interval(90, 100) == pytest.approx((middle - half, middle + half))
    assert interval(100, 100)[1] == 1
    assert interval(0, 100)[0] == 0


def test_the_temperature_is_found_again():
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(20_000, 10, generator=draw) * 2
    labels = torch.multinomial(logits.softmax(1), 1, generator=draw)[:, 0]
    for factor in (0.25, 1.0, 3.0):
        found = temperature(Predictions(logits * factor, labels))
        assert found == pytest.approx(factor, rel=0.03)
        assert calibration_error(logits * factor / found, labels) < 0.02


def test_a_class_without_images_does_no_harm():
    predictions = Predictions(torch.eye(3)[[0, 1]] * 9, torch.tensor([0, 1]))
    rows = by_class(predictions, ("a", "b", "c"))
    assert [row["images"] for row in rows] == [1, 1, 0]
    assert np.isfinite([row["f1"] for row in rows]).all()


def test_a_confidence_of_one_belongs_to_the_last_bin():
    sure, nearly = torch.tensor([200.0, 0.0]), torch.tensor([math.log(19), 0.0])  # of which 0.95 is the share
    logits = torch.stack([sure] * 1000 + [nearly] * 1000)
    labels = torch.tensor([0] * 800 + [1] * 200 + [0] * 1000)
    # All lie between 14/15 and 1, with 0.975 of confidence and 0.9 right.
    assert calibration_error(logits, labels) == pytest.approx(0.075, abs=1e-4)

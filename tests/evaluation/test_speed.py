import time

import pytest
from torch import nn

from vitlab.evaluation.predictions import Predictor
from vitlab.evaluation.speed import speed


class Slow(nn.Module):
    def forward(self, images):
        time.sleep(0.002 * len(images))
        return images.flatten(1)


def test_a_model_of_two_milliseconds_an_image_is_found_to_be_so(predictor):
    slow = Predictor(Slow(), predictor.augment, predictor.precision, predictor.stop)
    found = speed(slow, (1, 4, 4), batch_size=10, rounds=3)
    assert found["batch_size"] == 10
    assert 100 < found["images_per_second"] < 500  # the sleep is the least that it takes
    assert 2 <= found["latency_ms"] <= found["latency_p95_ms"]
    assert found["latency_ms"] == pytest.approx(2, abs=3)

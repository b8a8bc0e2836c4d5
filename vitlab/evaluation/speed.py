"""How fast a model answers."""

import time
from collections.abc import Callable
from statistics import median

import torch

from vitlab.evaluation.predictions import Predictor


def speed(predictor: Predictor, shape: tuple[int, int, int], batch_size: int, rounds: int = 10) -> dict[str, float]:
    """Images a second in batches, and milliseconds for one image, the images on the device already.

    Args:
        predictor: the model.
        shape: C x S x S of an image.
        batch_size: images a batch.
        rounds: batches that are timed; of single images ten times as many. The median counts.
    """
    device = predictor.precision.device
    images = torch.randint(0, 256, (batch_size, *shape), dtype=torch.uint8, device=device)
    batch = _seconds(lambda: predictor.logits(images), device, rounds)
    one = _seconds(lambda: predictor.logits(images[:1]), device, 10 * rounds)
    ordered = sorted(one)
    return {
        "batch_size": batch_size,
        "images_per_second": batch_size / median(batch),
        "latency_ms": 1e3 * median(one),
        "latency_p95_ms": 1e3 * ordered[int(0.95 * (len(ordered) - 1))],
    }


def _seconds(call: Callable[[], object], device: torch.device, rounds: int) -> list[float]:
    def settle() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    times = []
    for number in range(rounds + 2):
        settle()
        begin = time.perf_counter()
        call()
        settle()
        if number > 1:  # the first calls choose kernels
            times.append(time.perf_counter() - begin)
    return times

"""Random numbers that can be had again: pure functions of the seed where possible, saved state where not."""

from typing import Any

import numpy as np
import torch

_AUGMENTATION, _DROPOUT = 1, 2  # streams of their own, apart from the order of the data


def augmentation_rng(seed: int, step: int, rank: int = 0) -> np.random.Generator:
    """The draws of one step's augmentation: the same for every model that trains with ``seed``.

    Those of a process that trains its share of a batch are its own.
    """
    return np.random.default_rng((seed, _AUGMENTATION, step, rank) if rank else (seed, _AUGMENTATION, step))


def part_ways(seed: int, rank: int, step: int = 0) -> None:
    """From now on dropout draws other numbers in each process; the first goes on as it would alone."""
    if rank > 0:
        torch.manual_seed(int(np.random.SeedSequence((seed, _DROPOUT, rank, step)).generate_state(1)[0]))


def generator_state() -> dict[str, Any]:
    """State of torch's generators (weights, dropout, drop path), as tensors."""
    return {
        "cpu": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "mps": [torch.mps.get_rng_state()] if torch.backends.mps.is_available() else [],
    }


def set_generator_state(state: dict[str, Any]) -> bool:
    """Take up ``state``; False if it was saved with other devices, so that the draws go on differently."""
    torch.set_rng_state(state["cpu"])
    here = generator_state()
    if len(state["cuda"]) != len(here["cuda"]) or len(state["mps"]) != len(here["mps"]):
        return False
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
    if state["mps"]:
        torch.mps.set_rng_state(state["mps"][0])
    return True

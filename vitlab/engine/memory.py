"""When a batch does not fit into memory."""

import gc

import torch


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether ``error`` says that there is no memory left, on a GPU or on the host."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def free(device: torch.device) -> None:
    """Give back what a step that was broken off has left."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()

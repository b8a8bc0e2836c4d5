"""Random numbers, drawn on the host and sent to where the images are."""

import numpy as np
import torch
from torch import Tensor


def send(draws: np.ndarray, device: torch.device) -> Tensor:
    """``draws`` as a tensor on ``device``, without waiting for it; floats as float32."""
    if draws.dtype == np.float64:
        draws = draws.astype(np.float32)
    return torch.from_numpy(draws).to(device, non_blocking=True)

"""A running average of the weights, which is often better than the last of them."""

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def averaged(model: nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average of ``model`` (Polyak & Juditsky 1992): ``avg = decay avg + (1 - decay) w``.

    Call ``update_parameters(model)`` after each step; the first call copies. Buffers are averaged too. Its counter
    stays on the CPU, so that no step waits for the device.
    """
    average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return AveragedModel(model, multi_avg_fn=average, use_buffers=True)

"""What a model costs: parameters, and floating-point operations for one image."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


def count_parameters(model: nn.Module) -> int:
    """Trainable parameters, each counted once."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def flops_per_image(model: nn.Module, channels: int, image_size: int) -> int:
    """FLOPs of one forward pass of one image, two for each multiply-add of matrix products and convolutions.

    Counted by torch's own counter on one blank image; element-wise work (norms, GELU, softmax) is not counted.

    Args:
        model: maps images [B, C, H, W] to anything; left in the mode in which it came.
        channels: C of the images.
        image_size: H and W of the images, in pixels.
    """
    was_training = model.training
    model.eval()
    weight = next(model.parameters())
    with counting() as counter:
        model(weight.new_zeros(1, channels, image_size, image_size))
    model.train(was_training)
    return int(counter.get_total_flops())


@contextmanager
def counting() -> Iterator[FlopCounterMode]:
    """Torch's own counter. Attention is computed as products meanwhile: some versions overlook its kernel for a CPU."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        yield counter

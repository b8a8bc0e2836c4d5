"""The weights that a Vision Transformer begins with."""

from torch import nn

_STD = 0.02


def trunc_normal(model: nn.Module) -> None:
    """Linear weights from a normal distribution cut at two units, std 0.02, biases zero; tokens likewise.

    As DeiT (Touvron et al. 2021). The convolution of a patch embedding counts as the linear layer that it is.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.trunc_normal_(module.weight, std=_STD)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    _tokens(model)


def torch_default(model: nn.Module) -> None:
    """Leave every layer as torch made it; only positions and CLS are drawn, normal with std 0.02."""
    _tokens(model)


def _tokens(model: nn.Module) -> None:
    for name in model.no_weight_decay():  # type: ignore[operator]
        nn.init.trunc_normal_(model.get_parameter(name), std=_STD)

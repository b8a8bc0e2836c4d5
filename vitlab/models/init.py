"""The weights that a Vision Transformer begins with."""

from torch import nn

from vitlab.models.vit import ViT

_STD = 0.02


def trunc_normal(model: ViT) -> None:
    """Weights, positions and CLS from a normal distribution with std 0.02, cut at two units; biases zero.

    As DeiT (Touvron et al. 2021). The convolution of a patch embedding counts as the linear layer that it is; norms
    keep the scale of one and the shift of zero that torch gives them.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.trunc_normal_(module.weight, std=_STD)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    _tokens(model)


def torch_default(model: ViT) -> None:
    """Leave every layer as torch made it; only positions and CLS are drawn, normal with std 0.02."""
    _tokens(model)


def _tokens(model: ViT) -> None:
    for name in model.no_weight_decay():
        nn.init.trunc_normal_(model.get_parameter(name), std=_STD)

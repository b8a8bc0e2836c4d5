"""Maximal update parametrisation: one learning rate for all widths and depths.

Yang et al. 2022, "Tensor programs V: tuning large neural networks via zero-shot hyperparameter transfer", table 3, for
the width; Dey et al. 2025, "Don't be lazy: CompleteP enables compute-efficient deep transformers", with alpha = 1, for
the depth. With m = D / base_width:

=====================  ==================  ==============  ============
parameters             std at the start    learning rate   weight decay
=====================  ==================  ==============  ============
patches, positions     0.02                1               1
hidden matrices        0.02 / sqrt(m)      1 / m           m
head                   0.02 / m            1 / m           m
biases, norms, scales  as always           1               none
=====================  ==================  ==============  ============

Scores are divided by K / sqrt(base_head_dim), not by sqrt(K), and each branch is weighed by base_depth / depth. At the
base sizes all of this is ``trunc_normal``. The learning rates are Adam's: other optimizers follow other rules.
"""

import math
from typing import cast

from torch import nn

from vitlab.models.attention.full import Attention
from vitlab.models.attention.lsa import LocalitySelfAttention
from vitlab.models.block import PostNormBlock
from vitlab.models.drop import DropPath
from vitlab.models.init import STD, is_linear, trunc_normal
from vitlab.models.patch_embed.conv_stem import ConvStem, ConvTokenizer
from vitlab.models.vit import ViT


def mup(model: ViT, base_width: int = 64, base_depth: int = 4, base_head_dim: int = 16) -> None:
    """Weights of ``model``, and the scales of their learning rates and decays, as the table above has them.

    Args:
        model: to be initialised; ``lr_scale`` and ``decay_scale`` are filled.
        base_width: D of the model at which the learning rate was found.
        base_depth: blocks of that model.
        base_head_dim: K of that model.

    Raises:
        ValueError: a base is not positive, or the model has a part for which there is no rule.
    """
    for name, base in (("base_width", base_width), ("base_depth", base_depth), ("base_head_dim", base_head_dim)):
        if base < 1:
            raise ValueError(f"{name}={base} is not positive; try the size at which optimizer.lr was found")
    for part in model.modules():
        if isinstance(part, ConvStem | ConvTokenizer | PostNormBlock):
            hint = "try block=pre_norm" if isinstance(part, PostNormBlock) else "try patch_embed=conv"
            raise ValueError(f"init=mup has no rule for {type(part).__name__}; {hint}")
    trunc_normal(model)
    wider = model.embed_dim / base_width
    for path, module in model.named_modules():
        is_output = module in (model.head, model.head_dist)
        if is_linear(module) and (is_output or path.startswith(("blocks.", "pool."))):
            weight = cast(nn.Parameter, module.weight)
            nn.init.trunc_normal_(weight, std=STD / (wider if is_output else math.sqrt(wider)))
            model.lr_scale[f"{path}.weight"] = 1 / wider
            model.decay_scale[f"{path}.weight"] = wider
        if isinstance(module, DropPath):
            module.branch_scale = base_depth / len(model.blocks)
        if isinstance(module, Attention):
            module.scale = math.sqrt(base_head_dim) / module.head_dim
        if isinstance(module, LocalitySelfAttention):
            module.temperature.data.fill_(1 / module.scale)

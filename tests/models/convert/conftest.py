"""A ViT of the sizes that the references have."""

from functools import partial

import pytest
import transformers
from references import CLASSES, DEPTH, HEADS, IMAGE, PATCH, WIDTH

from vitlab.models.attention.full import Attention
from vitlab.models.position.absolute import NoPosition


@pytest.fixture(autouse=True)
def no_progress_bars():
    transformers.utils.logging.disable_progress_bar()


@pytest.fixture
def vit(make_vit):
    """``vit(layer_scale=1e-5)``: a ViT of the references' sizes; the first four settings are the attention's."""

    def make(qkv_bias=True, qk_norm=False, gated=False, num_kv_heads=None, position=None, **settings):
        sizes = {"image_size": IMAGE, "patch_size": PATCH, "embed_dim": WIDTH, "depth": DEPTH, "num_heads": HEADS}
        parts = {
            "attention": partial(Attention, qkv_bias=qkv_bias, qk_norm=qk_norm, gated=gated, num_kv_heads=num_kv_heads)
        }
        parts |= {} if position is None else {"position": NoPosition if position == "none" else position}
        return make_vit(**{**sizes, "num_classes": CLASSES, **parts, **settings}).eval()

    return make

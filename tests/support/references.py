"""Models of timm, torchvision and Hugging Face, small and with random weights: references that nobody here wrote."""

import timm
import torch
import torchvision
import transformers
from timm.layers import SwiGLUPacked
from torch import nn

from vitlab.models.mlp import SwigluMlp
from vitlab.models.pool import ClsMeanPool, MeanPool

WIDTH, DEPTH, HEADS, CLASSES, IMAGE, PATCH = 48, 2, 3, 5, 32, 8

TIMM = {
    "plain": ({}, {}),
    "mean": ({"global_pool": "avg", "fc_norm": False}, {"pool": MeanPool}),
    "fc_norm": ({"global_pool": "avg"}, {"pool": MeanPool, "pool_before_norm": True}),
    "no_class_token": (
        {"global_pool": "avg", "fc_norm": False, "class_token": False},
        {"pool": MeanPool, "class_token": False},
    ),
    "no_qkv_bias": ({"qkv_bias": False}, {"qkv_bias": False}),
    "qk_norm": ({"qk_norm": True}, {"qk_norm": True}),
    "layer_scale": ({"init_values": 0.1}, {"layer_scale": 1e-5}),
    "registers": ({"reg_tokens": 4}, {"num_registers": 4}),
    "dinov2": (
        {"reg_tokens": 4, "no_embed_class": True, "init_values": 0.1},
        {"num_registers": 4, "layer_scale": 1e-5},
    ),
    "swiglu": (
        {"mlp_layer": SwiGLUPacked, "act_layer": nn.SiLU, "mlp_ratio": 2 * 128.01 / WIDTH},
        {"mlp": SwigluMlp},
    ),
    "no_positions": ({"pos_embed": "none"}, {"position": "none"}),
    "distilled": ({}, {"distillation_token": True}),
}
HUGGING_FACE = {
    "ViT": ("ViTForImageClassification", {"intermediate_size": 4 * WIDTH}, {}),
    "DeiT": (
        "DeiTForImageClassificationWithTeacher",
        {"intermediate_size": 4 * WIDTH},
        {"distillation_token": True},
    ),
    "Dinov2": ("Dinov2ForImageClassification", {}, {"pool": ClsMeanPool, "layer_scale": 1e-5}),
    "Dinov2 swiglu": (
        "Dinov2ForImageClassification",
        {"use_swiglu_ffn": True},
        {"pool": ClsMeanPool, "layer_scale": 1e-5, "mlp": SwigluMlp},
    ),
    "Dinov2WithRegisters": (
        "Dinov2WithRegistersForImageClassification",
        {"num_register_tokens": 4},
        {"pool": ClsMeanPool, "layer_scale": 1e-5, "num_registers": 4},
    ),
}


def randomise(model):
    """Weights under which no part of a model is without effect."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model.eval()


def timm_reference(kind, **sizes):
    settings, ours = TIMM[kind]
    cls = timm.models.deit.VisionTransformerDistilled if kind == "distilled" else timm.models.VisionTransformer
    base = {"img_size": IMAGE, "patch_size": PATCH, "embed_dim": WIDTH, "depth": DEPTH, "num_heads": HEADS}
    return randomise(cls(**{**base, "num_classes": CLASSES, **settings, **sizes})), ours


def hugging_face_reference(kind, **sizes):
    name, settings, ours = HUGGING_FACE[kind]
    cls = getattr(transformers, name)
    base = {"hidden_size": WIDTH, "num_hidden_layers": DEPTH, "num_attention_heads": HEADS, "layer_norm_eps": 1e-6}
    base |= {"image_size": IMAGE, "patch_size": PATCH, "num_labels": CLASSES, "attn_implementation": "eager"}
    return randomise(cls(cls.config_class(**{**base, **settings, **sizes}))), ours


def torchvision_reference(**sizes):
    base = {"image_size": IMAGE, "patch_size": PATCH, "num_layers": DEPTH, "num_heads": HEADS, "hidden_dim": WIDTH}
    base |= {"mlp_dim": 4 * WIDTH, "num_classes": CLASSES}
    return randomise(torchvision.models.VisionTransformer(**{**base, **sizes}))


def timm_attention(reference, images):
    """Attention weights of each block, caught where timm drops them out."""
    seen = []
    for block in reference.blocks:
        block.attn.fused_attn = False
        block.attn.attn_drop.register_forward_hook(lambda module, inputs, output: seen.append(output))
    with torch.no_grad():
        logits = reference(images)
    return logits, seen


def torchvision_attention(reference, images):
    """Attention weights of each block, of whose attention they are asked for."""
    seen = []
    for layer in reference.encoder.layers:
        own = layer.self_attention.forward

        def forward(*tokens, need_weights, own=own):
            out, weights = own(*tokens, need_weights=True, average_attn_weights=False)
            seen.append(weights)
            return out, weights

        layer.self_attention.forward = forward
    with torch.no_grad():
        logits = reference(images)
    return logits, seen


def hugging_face_attention(reference, images, **how):
    with torch.no_grad():
        out = reference(images, output_attentions=True, **how)
    return out.logits, list(out.attentions)


def assert_same(model, images, logits, attention):
    """Logits and attention maps agree to 1e-4 of the largest."""
    with torch.no_grad():
        stages = model.forward_stages(images)
        assert close(model(images), logits)
    assert len(attention) == len(model.blocks)
    for number, weights in enumerate(attention):
        assert close(stages[f"block{number:02d}.weights"], weights)


def close(ours, theirs):
    return ours.shape == theirs.shape and (ours - theirs).abs().max() <= 1e-4 * theirs.abs().max()

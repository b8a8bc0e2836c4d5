import timm
import torch
from safetensors.torch import save_file
from timm.utils import AttentionExtract

from vitlab.microscopy.capture import capture, capture_with_gradients
from vitlab.models.convert import load_weights


def timm_twin(model, tmp_path):
    """timm's ViT of the same sizes with weights of its own, which ``model`` is given too."""
    sizes = {"img_size": 8, "patch_size": 2, "embed_dim": 24, "depth": 2, "num_heads": 3, "num_classes": 5}
    twin = timm.models.VisionTransformer(**sizes, reg_tokens=2).eval()
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    for block in twin.blocks:
        block.attn.fused_attn = False
    save_file(twin.state_dict(), tmp_path / "timm.safetensors")
    load_weights(model, str(tmp_path / "timm.safetensors"), False)
    return twin


def test_the_weights_are_those_that_timm_extracts(vit, tmp_path):
    model, images = vit(), torch.randn(3, 3, 8, 8)
    twin = timm_twin(model, tmp_path)
    with torch.no_grad():
        expected = AttentionExtract(twin, method="hook")(images)
    captured = capture(model, images)
    assert len(captured.weights) == len(expected) == 2
    for ours, theirs in zip(captured.weights, expected.values(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)
    assert torch.allclose(captured.logits, twin(images), atol=1e-4)


def test_the_gradients_are_those_of_timm_s_attention(vit, tmp_path):
    model, images = vit(), torch.randn(3, 3, 8, 8)
    twin = timm_twin(model, tmp_path)
    seen = []
    for block in twin.blocks:
        block.attn.attn_drop.register_forward_hook(lambda module, inputs, output: seen.append(output))
    expected = torch.autograd.grad(twin(images).max(dim=1).values.sum(), seen)
    _, gradients = capture_with_gradients(model, images)
    for ours, theirs in zip(gradients, expected, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-4 * theirs.abs().max())


def test_the_model_is_left_as_it_was_and_layers_are_in_their_order(vit):
    model, images = vit(), torch.randn(2, 3, 8, 8)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    logits = model(images)
    captured, gradients = capture_with_gradients(model, images)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(model(images), logits)
    assert not any(part.requires_grad for part in (*captured.weights, *captured.layers, *gradients))
    tokens = captured.layers[0]
    for block, layer in zip(model.blocks, captured.layers[1:], strict=True):
        tokens = block(tokens)
        assert torch.allclose(tokens, layer, atol=1e-5)


def test_a_model_whose_blocks_are_frozen_has_gradients_of_its_weights_all_the_same(vit):
    model, images = vit(), torch.randn(2, 3, 8, 8)
    _, expected = capture_with_gradients(model, images)
    model.requires_grad_(False)
    _, gradients = capture_with_gradients(model, images)
    assert all(torch.allclose(one, other) for one, other in zip(gradients, expected, strict=True))

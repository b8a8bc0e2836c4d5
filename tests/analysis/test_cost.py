import torch
from torch import nn

from vitlab.analysis.cost import count_parameters, flops_per_image
from vitlab.models.vit import ViT


def test_a_convolution_by_hand():
    model = nn.Conv2d(3, 8, kernel_size=4, stride=4)
    assert count_parameters(model) == 8 * 3 * 16 + 8
    assert flops_per_image(model, channels=3, image_size=16) == 2 * (4 * 4) * (3 * 4 * 4) * 8


def test_frozen_parameters_are_not_counted():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4)).requires_grad_(False)
    model[1].requires_grad_(True)
    assert count_parameters(model) == 16


def test_the_mode_of_the_model_and_its_gradients_are_left_alone():
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Dropout(0.5))
    flops_per_image(model, 1, 4)
    assert model.training
    assert all(p.grad is None for p in model.parameters())


def test_a_vision_transformer_by_the_formula_of_its_paper(make_vit):
    model = make_vit(image_size=32, patch_size=4, channels=3, num_classes=10, embed_dim=192, depth=8, num_heads=6)
    assert isinstance(model, ViT)
    patches, tokens, width = 64, 65, 192
    embed = patches * 48 * width
    block = tokens * (4 * width**2 + 8 * width**2) + 2 * tokens**2 * width  # qkv, projection, MLP; scores, mixing
    head = width * 10
    assert flops_per_image(model, 3, 32) == 2 * (embed + 8 * block + head)
    assert torch.is_grad_enabled()

"""A small ViT, and what goes with it."""

import pytest
import torch

from vitlab.exports.about import About


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture
def about():
    return About("1.2.3", 8, 3, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), ("a", "b", "c", "d", "e"), 3, 7)


@pytest.fixture
def model(make_vit):
    model = make_vit(depth=1).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


@pytest.fixture
def images():
    return torch.randn(3, 3, 8, 8)

"""A small ViT with a token of every kind, and what the microscope sees of it."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from vitlab.microscopy.observing import observe
from vitlab.models.layout import TokenLayout

NAMES = ("cat", "dog", "horse", "ship", "frog")
_ONCE = []


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture
def layout():
    """Two rows and three columns of patches behind CLS and two registers."""
    return TokenLayout((2, 3), 3, 2)


@pytest.fixture
def normalise():
    return lambda images: images.float() / 127.5 - 1


@pytest.fixture
def images():
    return torch.randint(0, 256, (8, 3, 8, 8), dtype=torch.uint8)


@pytest.fixture
def vit(make_vit):
    """``vit(**settings)``: in eval mode, with weights large enough that all of them matter."""

    def make(**settings):
        model = make_vit(**{"num_registers": 2, **settings}).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
        return model

    return make


@pytest.fixture
def observation(vit, normalise, images):
    """Of a model and its images, with parts taken out and another model beside it; made once, a copy for each test."""
    if not _ONCE:
        _ONCE.append(_observed(vit, normalise, images))
    return replace(_ONCE[0], found=deepcopy(_ONCE[0].found))


def _observed(vit, normalise, images):
    model = vit()
    labels = torch.arange(8) % 5
    with torch.no_grad():
        labels[:6] = model(normalise(images)).argmax(dim=1)[:6]

    def right():
        with torch.no_grad():
            return model(normalise(images)).argmax(dim=1) == labels

    other = (vit(depth=3), normalise)
    seen = observe(model, normalise, images, batch_size=5, shown=3, right=right, other=other)
    rows = [{"image": f"test {n}", "class": NAMES[n], "probability": 0.5, "label": "cat"} for n in range(3)]
    told = {"title": "run: test", "source": "test", "checkpoint": "best", "step": 12, "device": "a CPU"}
    seen.found.update(**told, shown=rows, other="another")
    return seen

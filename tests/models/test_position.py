import torch

from vitlab.models.layout import TokenLayout
from vitlab.models.position import LearnedPosition


def test_each_place_has_a_vector_of_its_own_that_is_added():
    position = LearnedPosition(4, TokenLayout((2, 3), 1))
    position.embedding.data = torch.arange(28.0).reshape(1, 7, 4)
    tokens = torch.randn(2, 7, 4)
    assert torch.equal(position(tokens), tokens + torch.arange(28.0).reshape(7, 4))


def test_it_is_learned():
    position = LearnedPosition(4, TokenLayout((2, 2), 0))
    position(torch.zeros(1, 4, 4)).sum().backward()
    assert torch.equal(position.embedding.grad, torch.ones(1, 4, 4))

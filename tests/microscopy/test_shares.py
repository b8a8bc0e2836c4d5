import pytest
import torch

from vitlab.microscopy.shares import as_shares, share_by_kind
from vitlab.models.layout import TokenLayout


def test_rows_sum_to_one_and_what_is_negative_counts_as_nothing():
    weights = torch.tensor([[3.0, 1.0], [-1.0, 2.0]])
    assert torch.equal(as_shares(weights), torch.tensor([[0.75, 0.25], [0.0, 1.0]]))
    softmaxed = torch.randn(2, 3, 5, 5).softmax(-1)
    assert torch.allclose(as_shares(softmaxed), softmaxed)


def test_a_token_that_looks_at_nothing_has_no_shares():
    assert torch.equal(as_shares(torch.zeros(2, 2)), torch.zeros(2, 2))


def test_where_patches_look_by_kind_of_token(layout):
    weights = torch.zeros(1, 2, 9, 9)
    weights[:, :, :3, 0] = 1  # CLS and registers look at CLS; only patches are counted
    weights[:, 0, 3:] = 1 / 9
    weights[:, 1, 3:, 1] = 0.25
    weights[:, 1, range(3, 9), range(3, 9)] = 0.75
    found = share_by_kind(weights, layout)
    assert list(found) == ["CLS", "registers", "itself", "other patches"]
    assert [share[0].item() for share in found.values()] == pytest.approx([1 / 9, 2 / 9, 1 / 9, 5 / 9])
    assert [share[1].item() for share in found.values()] == pytest.approx([0, 0.25, 0.75, 0])


@pytest.mark.parametrize(
    ("layout", "kinds"),
    [
        (TokenLayout((1, 2), 0), ["itself", "other patches"]),
        (TokenLayout((1, 2), 2), ["CLS", "distillation token", "itself", "other patches"]),
        (TokenLayout((1, 2), 3, 3), ["registers", "itself", "other patches"]),
    ],
)
def test_kinds_are_those_that_there_are_and_sum_to_one(layout, kinds):
    weights = torch.randn(2, 3, layout.num_tokens, layout.num_tokens).softmax(-1)
    found = share_by_kind(weights, layout)
    assert list(found) == kinds
    assert torch.allclose(sum(found.values()), torch.ones(3))

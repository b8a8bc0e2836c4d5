import torch

from vitlab.microscopy.rollout import gradient_rollout, rollout, seen


def test_two_tokens_in_two_blocks_by_hand():
    first = torch.tensor([[[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]]])  # two heads; their mean is one half
    second = torch.tensor([[[[0.0, 1.0], [0.5, 0.5]]]])
    # (0.5 + I) / 2 = [[.75, .25], [.25, .75]], then (second + I) / 2 = [[.5, .5], [.25, .75]] times it
    expected = torch.tensor([[[0.5, 0.5], [0.375, 0.625]]])
    assert torch.allclose(rollout([first, second]), expected)


def test_rows_sum_to_one_whatever_the_weights_are():
    weights = [torch.randn(2, 3, 5, 5) for _ in range(4)]  # negative ones too, as linear attention has with rotations
    total = rollout(weights)
    assert torch.allclose(total.sum(dim=-1), torch.ones(2, 5))
    assert (total >= 0).all()
    blind = torch.zeros(1, 2, 3, 3)
    assert torch.allclose(rollout([blind, blind]), torch.eye(3))


def test_gradient_rollout_of_two_tokens_by_hand():
    weights = [torch.tensor([[[[0.5, 0.5], [0.2, 0.8]]]]), torch.tensor([[[[0.4, 0.6], [1.0, 0.0]]]])]
    gradients = [torch.tensor([[[[2.0, -1.0], [1.0, 1.0]]]]), torch.tensor([[[[-1.0, 1.0], [0.5, 3.0]]]])]
    # positive parts [[1, 0], [.2, .8]] and [[0, .6], [.5, 0]]; (I + second) (I + first) - I
    first, second = torch.tensor([[1, 0], [0.2, 0.8]]), torch.tensor([[0, 0.6], [0.5, 0]])
    expected = (torch.eye(2) + second) @ (torch.eye(2) + first) - torch.eye(2)
    assert torch.allclose(gradient_rollout(weights, gradients)[0], expected)
    assert torch.allclose(expected, torch.tensor([[1.12, 1.08], [1.2, 0.8]]))


def test_what_is_seen_is_the_reader_s_row_as_a_grid(layout):
    rows = torch.rand(2, 4, 9, 9)
    read = torch.zeros(2, 9)
    read[:, 0] = 1
    assert torch.equal(seen(rows, read, layout), rows[:, :, 0, 3:].reshape(2, 4, 2, 3))
    read = torch.zeros(2, 9)
    read[:, 3:] = 1 / 6
    assert torch.allclose(seen(rows, read, layout), rows[:, :, 3:, 3:].mean(dim=2).reshape(2, 4, 2, 3))

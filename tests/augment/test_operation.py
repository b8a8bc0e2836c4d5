import numpy as np
import torch

from vitlab.augment.operation import Operation, apply_chosen

ADD = Operation(lambda images, strength: images + strength[:, None, None, None], 0.0, 0.5, signed=True)
SCALE = Operation(lambda images, strength: images * strength[:, None, None, None], 8, 2, whole=np.round)


def test_each_image_gets_its_operation_at_its_strength():
    images = torch.ones(5, 1, 2, 2)
    chosen, level = np.array([1, 0, 0, 1, 0]), np.array([0.0, 0.5, 1.0, 0.45, 0.0])
    out = apply_chosen((ADD, SCALE), images, chosen, level, np.array([-1.0, 1.0, -1.0, 1.0, -1.0]))
    # Worked by hand: 8; 1 + 0.25; 1 - 0.5; round(8 - 0.45 * 6); 1 - 0.
    assert out[:, 0, 0, 0].tolist() == [8, 1.25, 0.5, 5, 1]
    assert torch.equal(out, out[:, :, :1, :1].expand_as(out))


def test_an_operation_that_nobody_drew_is_not_done():
    def refuse(images, strength):
        raise AssertionError

    images = torch.rand(3, 1, 2, 2)
    zeros = np.zeros(3)
    out = apply_chosen((ADD, Operation(refuse)), images, zeros.astype(int), zeros, zeros + 1)
    assert torch.equal(out, images)

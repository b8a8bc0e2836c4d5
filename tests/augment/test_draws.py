import numpy as np
import torch

from vitlab.augment.draws import send


def test_floats_become_single_precision_and_whole_numbers_stay():
    assert send(np.array([0.5]), torch.device("cpu")).dtype == torch.float32
    assert send(np.array([5]), torch.device("cpu")).dtype == torch.int64
    assert send(np.array([True]), torch.device("cpu")).tolist() == [True]

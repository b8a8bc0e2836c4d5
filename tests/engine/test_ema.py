import torch
from torch import nn

from vitlab.engine.ema import averaged


def test_it_is_the_exponential_average_by_hand():
    model = nn.Linear(1, 1, bias=False)
    ema = averaged(model, decay=0.75)
    for value in (4.0, 8.0, 0.0):
        model.weight.data.fill_(value)
        ema.update_parameters(model)
    assert ema.module.weight.item() == 0.75 * (0.75 * 4 + 0.25 * 8) + 0.25 * 0


def test_its_counter_never_waits_for_a_device():
    assert averaged(nn.Linear(1, 1), 0.9).n_averaged.device == torch.device("cpu")

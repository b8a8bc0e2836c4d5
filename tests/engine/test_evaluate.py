import pytest
import torch
from torch import nn
from torch.nn import functional as F

from vitlab.engine.evaluate import evaluate
from vitlab.engine.precision import Precision
from vitlab.engine.stop import GracefulStop

IMAGES = torch.arange(7 * 3, dtype=torch.uint8).reshape(7, 3, 1, 1) * 10
LABELS = torch.tensor([2, 2, 0, 1, 2, 0, 2])


class Batches:
    num_images = len(LABELS)

    def __init__(self, size):
        self.size = size

    def __len__(self):
        return -(-len(LABELS) // self.size)

    def images_in(self, batch):
        return min(self.size, len(LABELS) - batch * self.size)

    def epoch(self, epoch, start=0):
        return zip(IMAGES.split(self.size), LABELS.split(self.size), strict=True)


class Plain:
    def eval(self, images):
        return images.float() / 255


class Logits(nn.Module):
    def __init__(self):
        super().__init__()
        self.dropout = nn.Dropout(0.5)
        self.modes = []

    def forward(self, images):
        self.modes.append(self.training)
        return self.dropout(images.flatten(1))


def figures(model, size, stop=None):
    return evaluate(model, Batches(size), Plain(), Precision("fp32", torch.device("cpu")), stop or GracefulStop())


@pytest.mark.parametrize("size", [1, 3, 4, 7])
def test_every_image_counts_once_whatever_the_batches(size):
    logits = IMAGES.flatten(1).float() / 255
    found = figures(Logits(), size)
    assert found.images == 7
    assert found.accuracy == pytest.approx(4 / 7)
    assert found.loss == pytest.approx(F.cross_entropy(logits, LABELS).item(), rel=1e-6)


def test_the_model_is_in_eval_mode_meanwhile_and_comes_back_as_it_was():
    for mode in (True, False):
        model = Logits().train(mode)
        figures(model, 3)
        assert not any(model.modes)
        assert model.training is mode


def test_no_figures_come_of_an_evaluation_that_was_stopped():
    stop = GracefulStop()
    stop._signum = 15
    model = Logits()
    assert figures(model, 3, stop) is None
    assert model.training

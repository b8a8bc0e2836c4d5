from pathlib import Path

import torch
from torch import nn

from vitlab.engine.precision import Precision
from vitlab.engine.stop import GracefulStop
from vitlab.evaluation.predictions import Predictor
from vitlab.microscopy.sample import drawn, of_files, shown

CPU = torch.device("cpu")


class Reader(nn.Module):
    """The label is written in the first pixel."""

    def forward(self, images):
        return nn.functional.one_hot(images[:, 0, 0, 0].long(), 10).float()


class AsFloats:
    def eval(self, images):
        return images.float()


def digits(compose):
    from vitlab.config.build import build
    from vitlab.config.compose import resolved

    return build(resolved(compose([])), "data")


def test_a_seed_draws_the_same_images_and_another_others(compose):
    data = digits(compose)
    one, same, other = (drawn(data, "test", 300, seed, CPU) for seed in (0, 0, 1))
    assert one.images.shape == (300, 1, 8, 8)
    assert torch.equal(one.images, same.images)
    assert not torch.equal(one.images, other.images)
    assert len(set(one.names)) == 300
    few = drawn(data, "test", 10, 0, CPU)
    assert torch.equal(few.images, one.images[:10])


def test_no_more_are_drawn_than_there_are_and_names_tell_which(compose):
    data = digits(compose)
    every = drawn(data, "val", 10_000, 0, CPU)
    split = data.batches("val", batch_size=10_000, device=CPU, seed=0, shuffle=False)
    assert len(every.images) == split.num_images
    images, _ = next(iter(split.epoch(0)))
    first = split.numbers(0, 0).index(int(every.names[0].split()[1]))
    assert torch.equal(every.images[0], images[first])


def test_right_is_told_of_each_image(compose):
    sample = drawn(digits(compose), "test", 20, 0, CPU)
    sample.images[:, 0, 0, 0] = sample.labels.to(torch.uint8)
    sample.images[3, 0, 0, 0] = (sample.labels[3] + 1) % 10
    predictor = Predictor(Reader(), AsFloats(), Precision("fp32", CPU), GracefulStop())
    right = sample.right(predictor, 10, batch_size=4)
    assert right.tolist() == [number != 3 for number in range(10)]


def test_what_is_shown_has_its_label_where_that_is_known():
    files = of_files(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), [Path("a/b.png"), Path("c.png")], CPU)
    rows = shown(files, torch.tensor([[0.25, 0.75], [0.5, 0.5]]), ["cat", "dog"])
    assert rows[0] == {"image": "b.png", "class": "dog", "probability": 0.75}

"""A small problem for the engine, made of nothing but its contracts: no part of vitlab's floors below it."""

from itertools import islice

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from vitlab.engine.checkpoint import Checkpoints
from vitlab.engine.stop import GracefulStop
from vitlab.engine.trainer import Parts, Trainer

CLASSES = 3


class Blobs:
    """Images of 4 x 4 pixels, each class brighter than the one before, 50 to train on and 20 and 30 to judge by."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.splits = {}
        for name, count in (("train", 50), ("val", 20), ("test", 30)):
            labels = rng.integers(0, CLASSES, count)
            images = rng.normal(70 * labels[:, None, None, None] + 50, 40, (count, 1, 4, 4)).clip(0, 255)
            self.splits[name] = torch.from_numpy(images.astype(np.uint8)), torch.from_numpy(labels)

    def batches(self, split, *, batch_size, device, seed, shuffle, limit=None, rank=0, world_size=1):
        return BlobBatches(*self.splits[split], batch_size, seed, shuffle, limit)


class BlobBatches:
    def __init__(self, images, labels, batch_size, seed, shuffle, limit):
        self.images, self.labels, self.batch_size, self.seed, self.shuffle = images, labels, batch_size, seed, shuffle
        whole = -(-len(labels) // batch_size)
        self.count = min(whole, limit or whole)
        self.num_images = min(len(labels), self.count * batch_size)

    def __len__(self):
        return self.count

    def images_in(self, batch):
        return min(self.batch_size, self.num_images - batch * self.batch_size)

    def numbers(self, epoch, batch):
        total = len(self.labels)
        order = np.random.default_rng((self.seed, 0, epoch)).permutation(total) if self.shuffle else np.arange(total)
        return order[batch * self.batch_size : (batch + 1) * self.batch_size].tolist()

    def epoch(self, epoch, start=0):
        total = len(self.labels)
        order = np.random.default_rng((self.seed, 0, epoch)).permutation(total) if self.shuffle else np.arange(total)
        for index in islice(torch.from_numpy(order).split(self.batch_size), start, self.count):
            yield self.images[index], self.labels[index]


class Noise:
    """Adds noise while training, as an augmentation would."""

    def __init__(self, amount=0.1):
        self.amount = amount

    def train(self, images, labels, rng):
        noise = torch.from_numpy(rng.normal(0, self.amount, images.shape)).float()
        return self.eval(images) + noise, labels

    def eval(self, images):
        return images.float() / 255


def network(dropout=0.2):
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.GELU(), nn.Dropout(dropout), nn.Linear(12, CLASSES))


def cross_entropy(model, images, targets):
    return F.cross_entropy(model(images), targets)


def falling(step, run):
    return 1 - step / run.total_steps


@pytest.fixture
def make_trainer(tmp_path):
    """``make_trainer(folder="run", **settings)``: a trainer on blobs, with an epoch of 4 batches, the last one odd."""

    def make(folder="run", **settings):
        chosen = {
            "model": None,
            "augment": Noise(),
            "objective": cross_entropy,
            "optimizer": lambda model: torch.optim.AdamW(model.parameters(), lr=0.02),
            "schedule": falling,
            "stop": GracefulStop(),
        }
        parts = {name: settings.pop(name, default) for name, default in chosen.items()}
        parts["model"] = parts["model"] or network()
        parts = Parts(data=Blobs(), checkpoints=Checkpoints(tmp_path / folder), **parts)
        return Trainer(parts, 7, **{"epochs": 3, "batch_size": 16, "device": "cpu", "log_every": "3 steps", **settings})

    return make

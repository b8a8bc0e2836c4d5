from hashlib import sha256

import pytest
import torch

from vitlab.assembly import assemble
from vitlab.engine.seeding import augmentation_rng
from vitlab.engine.stop import GracefulStop


def batches_hash(trainer, count=25):
    """Of what the model sees in the first steps: images after augmentation, and targets."""
    digest = sha256()
    epoch = (batch for number in range(2) for batch in trainer.train_batches.epoch(number))
    for step, (images, labels) in zip(range(count), epoch, strict=False):
        seen = trainer.parts.augment.train(images, labels, augmentation_rng(trainer.seed, step))
        for tensor in seen:
            digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


@pytest.fixture
def assembled(compose, tmp_path):
    return lambda *overrides: assemble(compose(["augment=strong", *overrides]), tmp_path, GracefulStop())


def test_runs_that_share_a_seed_see_the_same_images_whatever_the_model(assembled):
    variants = [
        ("model.depth=1",),
        ("model.depth=6", "model.drop_path=0.2", "model.mlp_drop=0.1"),
        ("model.patch_size=4",),
        ("model.embed_dim=96", "model.num_heads=6"),
        ("model/attention=window", "model/position=rope_2d", "model/init=mimetic"),
        ("optimizer=muon", "trainer.ema_decay=0.9"),
    ]
    runs = [assembled(*overrides) for overrides in variants]
    assert len({batches_hash(run.trainer) for run in runs}) == 1
    assert len({tuple(sorted(run.hashes.items())) for run in runs}) == 1  # the split too
    assert batches_hash(assembled("seed=1").trainer) != batches_hash(runs[0].trainer)


def test_the_images_do_not_depend_on_what_was_drawn_before(assembled):
    trainer = assembled().trainer
    first = batches_hash(trainer)
    torch.rand(100)
    trainer.train_step(*next(iter(trainer.train_batches.epoch(0))))
    assert batches_hash(trainer) == first


def test_the_settings_that_are_kept_know_what_only_the_data_could_tell(assembled):
    run = assembled("data.num_classes=null")
    assert run.settings.data.num_classes == 10
    assert run.settings.model.num_classes == 10
    assert run.cost["parameters"] == 202_186
    assert run.class_names == tuple("0123456789")

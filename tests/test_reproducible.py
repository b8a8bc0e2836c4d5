"""The same seed on the same machine: the same bits, whatever is chosen."""

from pathlib import Path

import pytest

from vitlab.assembly import assemble
from vitlab.config.compose import conf_dir
from vitlab.engine.snapshot import first_difference_of_states, snapshot
from vitlab.engine.stop import GracefulStop
from vitlab.tracking.silent import Silent

SMALL = (
    *("model.depth=2", "model.embed_dim=32", "model.num_heads=2", "trainer.device=cpu", "tracker=none"),
    *("trainer.max_steps=3", "trainer.batch_size=16", "trainer.limit_batches=2", "trainer.eval_batch_size=32"),
)
GROUPS = ("model", "data", "augment", "objective", "optimizer", "scheduler", "trainer")
OPTIONS = sorted(
    path.relative_to(conf_dir()).with_suffix("").as_posix()
    for group in GROUPS
    for path in (conf_dir() / group).rglob("[!_]*.yaml")
)


def trained(cfg, folder):
    trainer = assemble(cfg, folder, GracefulStop()).trainer
    trainer.fit(Silent())
    return snapshot(trainer)


def choice(option):
    path = Path(option)
    return f"{path.parent.as_posix()}={path.name}"


def test_no_group_is_overlooked():
    groups = {path.name for path in conf_dir().iterdir() if path.is_dir()}
    assert groups == {*GROUPS, "experiment", "hydra", "sweep", "tracker"}
    assert len(OPTIONS) > 55


@pytest.fixture
def needed(request):
    """``needed(option)``: what an option must be given besides: a teacher, or images where it looks for them."""

    def settings(option):
        fixture = request.getfixturevalue
        match option.split("/"):
            case ["objective", "distill"]:
                return [f"objective.teacher={fixture('digits_run')}"]
            case ["data", "digits"]:
                return []
            case ["data", "image_folder" | "image_folder_32"]:
                images = {"cat": 12, "dog": 12}
                root = fixture("write_folder")(
                    {"train": images, "test": images}, size=32 if option.endswith("32") else 224
                )
            case ["data", "svhn"]:
                root, *_ = fixture("svhn")
            case ["data", "mnist" | "fashion_mnist" as name]:
                root, *_ = fixture("mnist")({"mnist": "MNIST"}.get(name, "FashionMNIST"))
            case ["data", name]:
                root, *_ = fixture("cifar")("CIFAR100" if name == "cifar100" else "CIFAR10")
            case _:
                return []
        return [f"data.root={root}", "data.select_on_test=true"]

    return settings


@pytest.mark.parametrize("option", OPTIONS)
def test_every_choice_trains_to_the_same_bits_twice(option, compose, needed, tmp_path):
    augment = [] if option.startswith("augment") else ["augment=strong"]
    overrides = [choice(option), *SMALL, "model.mlp_drop=0.1", *augment, *needed(option)]
    ends = [trained(compose(overrides), tmp_path / name) for name in ("one", "other")]
    assert first_difference_of_states(*ends) is None


def test_another_seed_trains_to_other_bits(compose, tmp_path):
    ends = [trained(compose([*SMALL, f"seed={seed}"]), tmp_path / str(seed)) for seed in (0, 1)]
    assert first_difference_of_states(*ends) is not None

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
NEEDS_A_TEACHER = "objective/distill"
GROUPS = ("model", "augment", "objective", "optimizer", "scheduler", "trainer")
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
    assert groups == {*GROUPS, "data", "experiment", "hydra", "sweep", "tracker"}
    assert len(OPTIONS) > 45


@pytest.mark.parametrize("option", [option for option in OPTIONS if option != NEEDS_A_TEACHER])
def test_every_choice_trains_to_the_same_bits_twice(option, compose, tmp_path):
    augment = [] if option.startswith("augment") else ["augment=strong"]
    overrides = [choice(option), *SMALL, "model.mlp_drop=0.1", *augment]
    ends = [trained(compose(overrides), tmp_path / name) for name in ("one", "other")]
    assert first_difference_of_states(*ends) is None


def test_another_seed_trains_to_other_bits(compose, tmp_path):
    ends = [trained(compose([*SMALL, f"seed={seed}"]), tmp_path / str(seed)) for seed in (0, 1)]
    assert first_difference_of_states(*ends) is not None

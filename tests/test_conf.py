"""Every config composes, can be built, and is what its file says."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from vitlab.config.build import build
from vitlab.config.compose import conf_dir, resolved
from vitlab.config.rules import refuse_illegal

OPTIONS = sorted(p.relative_to(conf_dir()) for p in conf_dir().glob("*/**/*.yaml"))
COMMANDS = sorted(p.stem for p in conf_dir().glob("*.yaml"))


def is_hidden(option: Path) -> bool:
    """Shared bodies of other files, which are no choice of their own."""
    return option.name.startswith("_")


def override(option: Path) -> str:
    return f"{option.parent.as_posix()}={option.stem}"


def test_no_file_is_overlooked():
    assert len(OPTIONS) == sum(1 for _ in conf_dir().rglob("*.yaml")) - len(COMMANDS)
    assert COMMANDS == [
        "evaluate",
        "explain",
        "export",
        "microscope",
        "plan",
        "predict",
        "reproduce",
        "sync",
        "train",
        "verify_resume",
    ]


@pytest.mark.parametrize("option", [o for o in OPTIONS if not is_hidden(o)], ids=str)
def test_every_option_composes_and_its_parts_take_their_settings(option, compose):
    cfg = compose([override(option)])
    if OmegaConf.select(cfg, "data.num_classes") is None:
        cfg.data.num_classes = 10
    cfg = resolved(cfg)
    refuse_illegal(cfg, [])
    for key in ("augment", "objective", "optimizer", "scheduler", "trainer"):
        build(cfg, key)


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_every_file_opens_with_what_it_is(option):
    lines = (conf_dir() / option).read_text().splitlines()
    head = lines[1] if lines[0].startswith("# @package") else lines[0]
    assert head.startswith("# ")
    assert len(head) > 15


def test_the_seed_recipe_is_exactly_the_seed_s(compose):
    cfg = compose(["experiment=seed_cifar10"])
    assert cfg.seed == 42
    assert (cfg.trainer.epochs, cfg.trainer.batch_size) == (100, 128)
    assert (cfg.optimizer._target_, cfg.optimizer.lr, cfg.optimizer.weight_decay) == ("torch.optim.Adam", 1e-4, 0)
    assert (cfg.scheduler.hold, cfg.scheduler.warmup, cfg.scheduler.floor) == ("1 epoch", "0 steps", 0)
    assert (cfg.data.mean, cfg.data.std) == ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5])
    assert cfg.data.select_on_test is True
    assert cfg.objective.label_smoothing == 0
    model = cfg.model
    assert (model.embed_dim, model.depth, model.num_heads, model.patch_size, model.mlp_ratio) == (192, 8, 6, 4, 4)
    assert (model.mlp_drop, model.drop_path, model.drop_path_schedule) == (0.1, 0.1, "constant")
    assert not any(cfg.augment[slot] for slot in ("crop", "flip", "policy", "erase", "mix"))


def test_only_the_seed_recipe_selects_on_the_test_split(compose):
    for option in OPTIONS:
        if option.parts[0] == "data" and option.stem != "cifar10_seed":
            assert compose([override(option)]).data.select_on_test is False, option


def test_flips_are_left_out_where_they_change_the_meaning(compose):
    for data in ("digits", "mnist", "svhn"):
        cfg = resolved(compose([f"data={data}", "augment=light"]))
        assert cfg.data.horizontal_flip is False


def test_an_overlay_sets_only_keys_that_every_option_of_a_swappable_part_has(compose):
    parts = ("patch_embed", "position", "attention", "mlp", "norm", "pool", "init")
    for overlay in (option for option in OPTIONS if option.parts[0] == "experiment"):
        model = OmegaConf.load(conf_dir() / overlay).get("model") or {}
        for part in (part for part in parts if part in model):
            for option in (conf_dir() / "model" / part).glob("[!_]*.yaml"):
                takes = compose([f"model/{part}={option.stem}"]).model[part]
                assert model[part].keys() <= takes.keys(), (overlay, option)

"""Every config composes, can be built, and is what its file says."""

import math
from pathlib import Path

import pytest
import timm
from omegaconf import OmegaConf

from vitlab.analysis.cost import count_parameters, flops_per_image
from vitlab.config.build import build
from vitlab.config.compose import conf_dir, resolved
from vitlab.config.rules import refuse_illegal
from vitlab.duration import RunLength
from vitlab.errors import VitlabError

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


def recipe(compose, name, *overrides):
    return resolved(compose([f"experiment={name}", *overrides]))


def differing(one, other):
    """Keys at which two configs differ."""
    one, other = (OmegaConf.to_container(cfg) for cfg in (one, other))

    def walk(a, b, path):
        if isinstance(a, dict) and isinstance(b, dict):
            for key in sorted({*a, *b}):
                yield from walk(a.get(key), b.get(key), f"{path}.{key}".lstrip("."))
        elif a != b:
            yield path

    return set(walk(one, other, ""))


def test_each_rung_adds_to_the_one_before_what_its_page_says(compose):
    modern, depthwise, stem = (recipe(compose, f"{name}_cifar10") for name in ("modern", "depthwise", "stem"))
    assert differing(modern, depthwise) == {"model.depthwise_shortcut"}
    assert differing(depthwise, stem) == {"model.patch_embed._target_"}
    seed = recipe(compose, "seed_cifar10")
    kept = ("embed_dim", "depth", "num_heads", "mlp_ratio", "patch_size", "drop_path")
    assert all(seed.model[key] == modern.model[key] for key in kept)
    assert seed.trainer.epochs == modern.trainer.epochs


def built(cfg):
    return build(cfg, "model")


def test_the_sprint_is_wide_and_shallow_and_short(compose):
    cfg = recipe(compose, "sprint_cifar10")
    model = built(cfg)
    assert model.layout.num_tokens == 64
    assert (cfg.model.embed_dim, cfg.model.depth, cfg.trainer.batch_size) == (384, 4, 512)
    assert 20 <= cfg.trainer.epochs <= 40
    assert cfg.model.attention.qk_norm
    assert cfg.trainer.ema_decay
    assert cfg.objective.label_smoothing


def test_the_peak_has_256_tokens_and_at_most_ten_million_parameters(compose):
    cfg = recipe(compose, "peak_cifar10")
    model = built(cfg)
    assert model.layout.num_tokens == 256
    assert (cfg.model.embed_dim, cfg.model.depth) == (256, 12)
    assert 9e6 < count_parameters(model) <= 10e6
    scale = build(cfg, "scheduler")
    length = RunLength(300 * 352, 352)  # 45,000 images in batches of 128
    assert scale(9 * 352, length) == pytest.approx(1)
    assert scale(length.total_steps, length) == pytest.approx(0.02)


@pytest.mark.parametrize(("epochs", "steps"), [(90, 111_510), (150, 185_850), (300, 371_700)])
def test_vit_s16_on_imagenet_has_the_counts_and_the_schedule_of_beyer_et_al(compose, epochs, steps):
    cfg = recipe(compose, "vit_s16_imagenet", f"trainer.epochs={epochs}")
    # 99 % of 1,281,167 images, 1,024 a step; 1,239 steps an epoch, the last of which is smaller.
    per_epoch = math.ceil((1_281_167 - round(0.01 * 1_281_167)) / cfg.trainer.batch_size)
    length = RunLength(per_epoch * epochs, per_epoch)
    assert length.total_steps == steps
    scale = build(cfg, "scheduler")
    rates = [cfg.optimizer.lr * scale(step, length) for step in (5_000, 10_000, (10_000 + steps) // 2, steps)]
    assert rates == pytest.approx([5e-4, 1e-3, 5e-4, 0], rel=1e-3, abs=1e-9)


def test_vit_s16_on_imagenet_costs_what_is_published(compose):
    cfg = recipe(compose, "vit_s16_imagenet")
    model = built(cfg)
    theirs = timm.create_model("vit_small_patch16_224", class_token=False, global_pool="avg", fc_norm=False)
    assert count_parameters(model) == sum(p.numel() for p in theirs.parameters()) - theirs.pos_embed.numel()
    assert flops_per_image(model, 3, 224) / 2 == pytest.approx(4.6e9, rel=0.02)  # Touvron et al. 2021, table 1


def test_finetuning_asks_for_weights(compose):
    cfg = recipe(compose, "finetune", "model=vit_tiny", "data=cifar10")
    with pytest.raises(VitlabError, match="weights=FILE: there is no such file"):
        built(cfg)


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

"""Any part with any other: drawn by chance, composed as the command line does, and either right or refused by name."""

import random
from functools import cache

import hydra
import pytest
import torch

from vitlab.config.build import build
from vitlab.config.compose import HYDRA_VERSION_BASE, conf_dir, resolved
from vitlab.config.rules import refuse_illegal
from vitlab.errors import VitlabError

DRAWS = 200
GROUPS = ("patch_embed", "position", "attention", "mlp", "norm", "block", "pool", "init")
OPTIONS = {group: sorted(p.stem for p in (conf_dir() / "model" / group).glob("[!_]*.yaml")) for group in GROUPS}
SIZES = [(8, 1), (8, 2), (8, 2), (8, 4), (28, 4), (28, 7), (32, 4), (32, 4), (32, 8)]
SETTINGS = {
    "model.class_token": ["true"] * 5 + ["false"],
    "model.distillation_token": ["false", "false", "true"],
    "model.num_registers": [0, 2],
    "model.layer_scale": ["null", 0.1],
    "model.depthwise_shortcut": ["false", "true"],
    "model.grad_checkpointing": ["false", "true"],
    "model.pool_before_norm": ["false", "true"],
    "model.drop_path": [0.0, 0.3],
    "model.patch_drop": [0.0] * 9 + [0.25],
    "model.attention.qk_norm": ["false", "true"],
    "model.attention.gated": ["false", "true"],
}
# Every reason for which a combination may be refused; anything else is a defect.
REASONS = (
    "does not divide the grid", "halves the image", "moves by half a patch", "needs class_token=true",
    "has no scores that a bias could be added to", "has no rule for", "queries with keys of its own",
    "leaves holes among the patches", "distillation_token=true cannot be had with",
)  # fmt: skip


def draw(number):
    """The overrides of one combination; each option of each group comes up in turn, the rest by chance."""
    rng = random.Random(number)
    parts = [f"model/{group}={rng.choice(OPTIONS[group])}" for group in GROUPS]
    turn = GROUPS[number % len(GROUPS)]
    parts[GROUPS.index(turn)] = f"model/{turn}={OPTIONS[turn][number // len(GROUPS) % len(OPTIONS[turn])]}"
    image, patch = rng.choice(SIZES)
    sizes = [f"model.image_size={image}", f"model.patch_size={patch}", f"model.channels={rng.choice([1, 3])}"]
    settings = [f"{key}={rng.choice(values)}" for key, values in SETTINGS.items()]
    return [*parts, *sizes, "model.depth=2", "model.embed_dim=32", "model.num_heads=4", *settings]


@cache
def composed(number):
    with hydra.initialize_config_dir(str(conf_dir()), version_base=HYDRA_VERSION_BASE):
        return resolved(hydra.compose("train", draw(number)))


@pytest.fixture
def combined(compose):  # ``compose`` for what it teaches OmegaConf
    """``combined(number)``: the model of a combination, or the message that refuses it."""

    def make(number):
        try:
            refuse_illegal(composed(number), [])
            return build(composed(number), "model")
        except VitlabError as error:
            return str(error)

    return make


def unread(model):
    """Parameters that no gradient reaches by design: ``pool=cls`` reads no convolution of the last block."""
    reads_cls_alone = type(model.pool).__name__ == "ClsPool"
    return ("blocks.1.shortcut.", "blocks.1.mlp.conv.") if reads_cls_alone else ("nothing",)


@pytest.mark.parametrize("number", range(DRAWS))
def test_every_combination_works_or_is_refused_by_name(combined, number):
    torch.manual_seed(number)
    model = combined(number)
    if isinstance(model, str):
        assert any(reason in model for reason in REASONS), model
        return
    channels, size, _ = model.patch_embed.image_shape
    images = torch.randn(8, channels, size, size)
    for parameter in model.parameters():  # nothing may be hidden by a zero at the start
        parameter.data += 0.02 * torch.randn_like(parameter)

    logits = model(images)
    assert logits.shape == (8, 10)
    assert logits.isfinite().all()
    (logits * torch.randn_like(logits)).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        if not name.startswith(unread(model)):
            assert parameter.grad.abs().sum() > 0, name

    model.eval()
    with torch.no_grad():
        logits = model(images)
        assert torch.equal(model(images), logits)
        assert torch.allclose(model(images.flip(0)).flip(0), logits, atol=1e-5)
        assert torch.allclose(model.forward_stages(images)["logits"], logits, atol=1e-4, rtol=1e-4)
        twin = combined(number)
        twin.load_state_dict(model.state_dict())
        assert torch.equal(twin.eval()(images), logits)


def test_most_combinations_work_and_every_option_is_among_them(combined):
    working = [number for number in range(DRAWS) if not isinstance(combined(number), str)]
    assert len(working) >= DRAWS // 2
    chosen = {override for number in working for override in draw(number)}
    assert {f"model/{group}={name}" for group in GROUPS for name in OPTIONS[group]} <= chosen

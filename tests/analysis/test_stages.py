from pkgutil import resolve_name

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from vitlab.analysis.cost import flops_per_image
from vitlab.analysis.stages import anatomy_of
from vitlab.config.compose import conf_dir
from vitlab.models.attention.window import WindowAttention
from vitlab.models.block import PreNormBlock
from vitlab.models.mlp import GeluMlp

GROUPS = ("patch_embed", "position", "attention", "mlp", "norm", "block", "pool")
PARTS = [
    f"model/{path.parent.name}={path.stem}"
    for group in GROUPS
    for path in sorted((conf_dir() / "model" / group).glob("*.yaml"))
    if not path.stem.startswith("_")
]
MIXTURES = [
    ("model/attention=window", "model.attention.window_size=2", "model.attention.shift=true", "model.num_registers=3"),
    ("model/attention=linear", "model.attention.qk_norm=true", "model/position=rope_2d", "model/block=post_norm"),
    ("model/attention=lsa", "model/position=relative_bias", "model/block=parallel", "model.layer_scale=1e-5"),
    ("model/attention=multi_query", "model.attention.gated=true", "model.depthwise_shortcut=true"),
    ("model.distillation_token=true", "model.freeze=1", "model.patch_drop=0.5", "model.pos_drop=0.5"),
    ("model/pool=attention", "model.class_token=false", "model.pool_before_norm=true"),
    ("model/pool=cls_mean", "model.pool_before_norm=true", "model/init=mup", "model/mlp=depthwise"),
]


def test_no_part_is_overlooked():
    assert len(PARTS) > 30
    assert {part.split("=")[0].removeprefix("model/") for part in PARTS} == set(GROUPS)


@pytest.mark.parametrize("overrides", [*((part,) for part in PARTS), *MIXTURES], ids="+".join)
def test_the_stages_add_up_to_the_model(vit, overrides):
    model = vit(*overrides)
    found = anatomy_of(model, 3, 16)
    assert found.parameters == sum(p.numel() for p in model.parameters())
    assert found.flops == flops_per_image(model, 3, 16) > 0
    leaves = [(section, stage) for section in found.sections for stage in section.stages]
    assert sum(found.share_of_flops(stage, section.times) for section, stage in leaves) == pytest.approx(1)
    assert sum(found.share_of_parameters(stage, section.times) for section, stage in leaves) == pytest.approx(1)
    assert "rest" not in {stage.role for _, stage in leaves}


@pytest.mark.parametrize("part", PARTS)
def test_every_part_has_a_formula_and_a_sentence_of_its_own(part):
    group, _, name = part.partition("=")
    cls = resolve_name(OmegaConf.load(conf_dir() / group / f"{name}.yaml")._target_)
    assert "formula" in vars(cls)
    assert "__doc__" in vars(cls)


def test_the_formulas_of_the_parts_are_shown(vit):
    model = vit("model/attention=local", "model/norm=rms", "model/mlp=swiglu", "model/block=parallel")
    found = anatomy_of(model, 3, 16)
    shown = {stage.formula for section in found.sections for stage in section.stages}
    shown |= {section.heading.formula for section in found.sections}
    shown |= {section.attention.formula for section in found.sections if section.attention}
    block = model.blocks[0]
    for part in (model.patch_embed, model.position, block, block.attn, block.mlp, block.norm1, model.norm, model.pool):
        assert part.formula in shown


def test_a_block_in_order_and_by_hand(make_vit):
    width, tokens, heads = 24, 17, 3
    found = anatomy_of(make_vit(embed_dim=width, num_heads=heads, depth=2), 3, 8)
    front, block, back = found.sections
    assert [s.role for s in front.stages] == ["patch_embed", "cls_token", "position"]
    assert [s.role for s in back.stages] == ["norm", "pool", "head"]
    names = ["norm1", "qkv", "scores", "softmax", "mixing", "proj", "drop_path", "norm2", "mlp", "drop_path"]
    assert [s.role for s in block.stages] == names
    assert (block.times, block.heading.name) == (2, "Blocks 1–2 × 2")

    by_hand = [  # shape, parameters, FLOPs
        ((tokens, width), 2 * width, 0),
        ((tokens, 3 * width), 3 * width * (width + 1), 2 * tokens * width * 3 * width),
        ((heads, tokens, tokens), 0, 2 * tokens * tokens * width),
        ((heads, tokens, tokens), 0, 0),
        ((heads, tokens, width // heads), 0, 2 * tokens * tokens * width),
        ((tokens, width), width * (width + 1), 2 * tokens * width * width),
        ((tokens, width), 0, 0),
        ((tokens, width), 2 * width, 0),
        ((tokens, width), 8 * width * width + 5 * width, 2 * tokens * 8 * width * width),
        ((tokens, width), 0, 0),
    ]
    assert [(s.shape, s.parameters, s.flops) for s in block.stages] == by_hand
    assert front.stages[0].flops == 2 * 16 * (3 * 2 * 2) * width
    assert (back.stages[-1].parameters, back.stages[-1].flops) == (5 * (width + 1), 2 * 5 * width)
    assert found.meeting_flops == 2 * (2 * 2 * tokens * tokens * width)
    assert found.growth == "with the square of the number of tokens"


def test_linear_attention_by_hand(make_vit):
    from vitlab.models.attention.linear import LinearAttention

    found = anatomy_of(make_vit(attention=LinearAttention, depth=1), 3, 8)
    stages = {s.role: s for s in found.sections[1].stages}
    tokens, heads, width = 17, 3, 8
    assert stages["memory"].flops == stages["mixing"].flops == 2 * heads * tokens * width * width
    assert stages["normaliser"].flops == 2 * heads * tokens * width
    assert (stages["memory"].shape, stages["normaliser"].shape) == ((heads, width, width), (heads, tokens, 1))
    assert "square" not in found.growth


def test_windows_by_hand(make_vit):
    from functools import partial

    windows = partial(WindowAttention, window_size=2)
    found = anatomy_of(make_vit(image_size=32, attention=windows, depth=1), 3, 32)  # a grid of 16 x 16: large
    stages = {s.role: s for s in found.sections[1].stages}
    of_patches, of_cls = 64 * 4 * (1 + 4), 1 * 257  # pairs: 64 windows of 4 patches that see CLS too; CLS sees all
    assert stages["scores"].flops == stages["mixing"].flops == 2 * (of_patches + of_cls) * 24
    assert stages["scores"].shape == (3 * 64, 4, 5)
    assert stages["scores"].formula.endswith("+ M")


def test_tokens_join_where_they_join(anatomy):
    found = anatomy("model.distillation_token=true", "model.num_registers=4", "model.embed_dim=64")
    front = {s.role: s for s in found.sections[0].stages}
    assert list(front) == ["patch_embed", "cls_token", "dist_token", "position", "registers"]
    assert [s.shape[0] for s in front.values()] == [16, 17, 18, 18, 22]
    assert front["registers"].parameters == 4 * 64
    assert [s.role for s in found.sections[-1].stages] == ["norm", "pool", "head", "norm", "head_dist"]


@pytest.mark.parametrize(
    ("block", "order"),
    [
        ("pre_norm", "norm1 attn drop_path norm2 mlp drop_path"),
        ("post_norm", "attn drop_path norm1 mlp drop_path norm2"),
        ("parallel", "norm1 attn mlp drop_path"),
    ],
)
def test_the_order_of_a_block_is_that_in_which_it_runs(anatomy, block, order):
    stages = anatomy(f"model/block={block}").sections[1].stages
    roles = [s.role for s in stages]
    core = ["qkv", "scores", "softmax", "mixing", "proj"]
    assert [r for r in roles if r not in core] == [r for r in order.split() if r != "attn"]
    at = order.split().index("attn")
    assert roles[at : at + 5] == core
    assert [s.of_branch for s in stages if s.role == "norm1"] == [block != "post_norm"]


def test_blocks_that_differ_are_shown_apart(anatomy):
    shifted = ("model/attention=window", "model.attention.window_size=2", "model.attention.shift=true", "model.depth=8")
    sections = anatomy(*shifted).sections
    assert [s.blocks for s in sections if s.blocks] == [(1, 3, 5, 7), (2, 4, 6, 8)]
    assert sections[1].heading.name == "Blocks 1, 3, …, 7 × 4"
    assert sections[1].heading.detail == "window_size=2, moved=0"
    assert sections[2].heading.detail == "window_size=2, moved=1"
    assert [s.blocks for s in anatomy(*shifted[:2], "model.depth=3").sections if s.blocks] == [(1, 2, 3)]
    assert anatomy("model.depth=1").sections[1].heading.name == "Block 1"


class MyMlp(nn.Module):
    """Doubles. And more."""

    def __init__(self, embed_dim, hidden_dim, layout, mlp_drop):
        super().__init__()
        self.weight = nn.Parameter(torch.eye(embed_dim))

    def forward(self, tokens):
        return tokens @ self.weight


class MyAttention(nn.Module):
    def __init__(self, embed_dim, **sizes):
        super().__init__()
        self.mix = nn.Linear(embed_dim, embed_dim)

    def forward(self, tokens, mask=None):
        return self.mix(tokens) @ tokens.mT @ tokens


class MyBlock(PreNormBlock):
    def __init__(self, embed_dim, **parts):
        super().__init__(embed_dim, **parts)
        self.unused = nn.Linear(2, 2)
        self.mixer = nn.Parameter(torch.zeros(embed_dim, embed_dim))

    def forward(self, tokens, mask=None, stages=None):
        return super().forward(tokens @ self.mixer, mask, stages)


def test_parts_of_the_user_s_own_are_shown_by_their_class(make_vit):
    model = make_vit(mlp=MyMlp, attention=MyAttention)
    found = anatomy_of(model, 3, 8)
    assert found.flops == flops_per_image(model, 3, 8)
    assert found.parameters == sum(p.numel() for p in model.parameters())
    stages = {s.role: s for s in found.sections[1].stages}
    assert (stages["mlp"].formula, stages["attn"].formula) == ("MyMlp", "MyAttention")
    assert stages["mlp"].text.startswith("Doubles. And more.")
    assert stages["mlp"].flops == 2 * 17 * 24 * 24
    assert stages["attn"].parameters == 24 * 25
    assert found.growth == ""


def test_what_lies_in_no_stage_is_shown_as_the_rest(make_vit):
    model = make_vit(block=MyBlock, mlp=GeluMlp)
    model.extra = nn.Parameter(torch.zeros(7))
    found = anatomy_of(model, 3, 8)
    assert found.flops == flops_per_image(model, 3, 8)
    assert found.parameters == sum(p.numel() for p in model.parameters())
    rest = found.sections[1].stages[-1]
    assert (rest.role, rest.parameters, rest.flops) == ("rest", 24 * 24, 2 * 17 * 24 * 24)
    assert found.sections[-1].parameters == 7 + 2 * 6  # the extra, and in two blocks the layer that never runs


def test_the_model_is_left_as_it_came(vit):
    model = vit().train()
    anatomy_of(model, 3, 16)
    assert model.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert all(p.grad is None for p in model.parameters())

import copy
import os
import subprocess
import sys

import pytest
import timm
import torch
import torchvision
from torch import nn

from vitlab.config.build import build
from vitlab.config.compose import resolved
from vitlab.models.attention.lsa import LocalitySelfAttention
from vitlab.models.attention.patterns import LocalAttention
from vitlab.models.mlp import DepthwiseMlp
from vitlab.models.norm import LayerNorm
from vitlab.models.pool import AttentionPool, MeanPool
from vitlab.models.position.rotary import RotaryPosition

# name: width, depth, heads (Dosovitskiy et al. 2021 and Touvron et al. 2021, table 1)
SIZES = {"vit_tiny": (192, 12, 3), "vit_small": (384, 12, 6)}
ALL_SIZES = {**SIZES, "vit_micro": (64, 4, 4), "vit_base": (768, 12, 12), "vit_large": (1024, 24, 16)}
RESOLUTIONS = [(32, 4), (224, 16)]


@pytest.fixture
def vit(compose):
    """``vit("vit_tiny", 32, 4)``: a model as the command line builds it."""

    def make(name, image_size=32, patch_size=4, *overrides):
        size = [f"model.image_size={image_size}", f"model.patch_size={patch_size}", "model.channels=3"]
        cfg = compose([f"model={name}", *size, *overrides])
        return build(resolved(cfg), "model").eval()

    return make


def renamed(state, names):
    """``state`` with pieces of its names replaced, in order."""
    out = {}
    for name, value in state.items():
        for old, new in names:
            name = name.replace(old, new)
        out[name] = value
    return out


def randomise(model):
    """Weights under which no part of a model is without effect."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.02)


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize(("image", "patch"), RESOLUTIONS)
@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_logits_equal_timm_s(vit, name, image, patch, pool):
    width, depth, heads = SIZES[name]
    pooling = {"global_pool": "token"} if pool == "cls" else {"global_pool": "avg", "fc_norm": False}
    reference = timm.models.VisionTransformer(
        img_size=image, patch_size=patch, embed_dim=width, depth=depth, num_heads=heads, num_classes=10, **pooling
    ).eval()
    randomise(reference)
    model = vit(name, image, patch, f"model/pool={pool}")
    model.load_state_dict(renamed(reference.state_dict(), [("pos_embed", "position.embedding")]))
    images = torch.randn(2, 3, image, image)
    with torch.no_grad():
        assert torch.allclose(model(images), reference(images), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize(("image", "patch"), RESOLUTIONS)
def test_logits_equal_torchvision_s(vit, name, image, patch):
    width, depth, heads = SIZES[name]
    reference = torchvision.models.VisionTransformer(
        image, patch, depth, heads, width, mlp_dim=4 * width, num_classes=10
    ).eval()
    randomise(reference)
    model = vit(name, image, patch)
    names = [
        ("class_token", "cls_token"),
        ("conv_proj", "patch_embed.proj"),
        ("encoder.pos_embedding", "position.embedding"),
        ("encoder.layers.encoder_layer_", "blocks."),
        ("encoder.ln", "norm"),
        ("ln_1", "norm1"),
        ("ln_2", "norm2"),
        ("self_attention.in_proj_", "attn.qkv."),
        ("self_attention.out_proj", "attn.proj"),
        ("mlp.0", "mlp.fc1"),
        ("mlp.3", "mlp.fc2"),
        ("heads.head", "head"),
    ]
    model.load_state_dict(renamed(reference.state_dict(), names))
    images = torch.randn(2, 3, image, image)
    with torch.no_grad():
        assert torch.allclose(model(images), reference(images), atol=1e-5, rtol=0)


def parameters_by_hand(width, depth, patches, patch_pixels, classes):
    block = (4 * width**2 + 4 * width) + (8 * width**2 + 5 * width) + 4 * width
    return (
        (patch_pixels + 1) * width + width + (patches + 1) * width + depth * block + 2 * width + (width + 1) * classes
    )


@pytest.mark.parametrize("name", ALL_SIZES)
def test_parameters_are_those_of_the_formula(vit, name):
    width, depth, heads = ALL_SIZES[name]
    with torch.device("meta"):
        model = vit(name)
    count = sum(p.numel() for p in model.parameters())
    assert count == parameters_by_hand(width, depth, patches=64, patch_pixels=48, classes=10)
    assert all(block.attn.num_heads == heads for block in model.blocks)


def test_the_seed_has_exactly_its_parameters_and_rates(vit):
    model = vit("vit_seed")
    assert sum(p.numel() for p in model.parameters()) == 3_583_306
    assert [block.drop_path.rate for block in model.blocks] == [0.1] * 8
    assert {m.p for m in model.blocks.modules() if isinstance(m, nn.Dropout)} == {0.0, 0.1}
    assert {m.eps for m in model.modules() if isinstance(m, nn.LayerNorm)} == {1e-5}


def test_every_parameter_gets_a_gradient(make_vit):
    model = make_vit()
    model(torch.randn(2, 3, 8, 8)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_eval_is_deterministic_and_images_do_not_touch_each_other(make_vit):
    model = make_vit(pos_drop=0.5, attn_drop=0.5, proj_drop=0.5, mlp_drop=0.5, drop_path=0.5).eval()
    images = torch.randn(4, 3, 8, 8)
    assert torch.equal(model(images), model(images))
    assert torch.allclose(model(images.flip(0)).flip(0), model(images), atol=1e-6)


@pytest.mark.parametrize(
    "setting",
    [
        {"num_heads": 2},
        {"mlp_ratio": 2.0},
        {"class_token": False, "pool": MeanPool},
        {"pool": MeanPool},
        {"pos_drop": 0.5},
        {"attn_drop": 0.5},
        {"proj_drop": 0.5},
        {"mlp_drop": 0.5},
        {"drop_path": 0.5},
        {"drop_path": 0.5, "drop_path_schedule": "constant"},
        {"norm": lambda dim: LayerNorm(dim, eps=0.1)},
        {"depth": 3},
        {"num_registers": 1},
        {"distillation_token": True},
        {"layer_scale": 0.1},
        {"depthwise_shortcut": True},
        {"pool": MeanPool, "pool_before_norm": True},
        {"patch_drop": 0.5},
        {"embed_dim": 12},
        {"patch_size": 4},
        {"num_classes": 6},
    ],
)
def test_every_setting_changes_the_result(make_vit, setting):
    def logits(**settings):
        torch.manual_seed(0)
        model = make_vit(**settings)
        torch.manual_seed(1)
        randomise(model)
        torch.manual_seed(2)
        return model(torch.randn(8, 3, 8, 8))

    plain, changed = logits(), logits(**setting)
    assert plain.shape != changed.shape or not torch.allclose(plain, changed, atol=1e-6)
    assert torch.equal(plain, logits())


def test_the_rates_of_drop_path_reach_the_blocks(make_vit):
    def rates(schedule):
        model = make_vit(depth=3, drop_path=0.4, drop_path_schedule=schedule)
        return [block.drop_path.rate for block in model.blocks]

    assert rates("linear") == pytest.approx([0.0, 0.2, 0.4])
    assert rates("constant") == pytest.approx([0.4, 0.4, 0.4])


def test_stages_lead_to_the_same_logits_and_have_their_shapes(make_vit):
    model = make_vit(num_registers=2).eval()
    images = torch.randn(2, 3, 8, 8)
    stages = model.forward_stages(images)
    assert torch.allclose(stages["logits"], model(images), atol=1e-6)
    assert {name: tuple(stage.shape) for name, stage in stages.items()} == {
        "patches": (2, 16, 24),
        "tokens": (2, 19, 24),
        **{f"block0{i}.{part}": (2, 19, 24) for i in range(2) for part in ("attn", "mlp")},
        **{f"block0{i}.weights": (2, 3, 19, 19) for i in range(2)},
        **{f"block0{i}": (2, 19, 24) for i in range(2)},
        "pooled": (2, 24),
        "logits": (2, 5),
    }
    assert list(stages)[:6] == ["patches", "tokens", "block00.attn", "block00.weights", "block00.mlp", "block00"]
    block = stages["tokens"] + stages["block00.attn"] + stages["block00.mlp"]
    assert torch.allclose(stages["block00"], block, atol=1e-6)


def test_stages_drop_what_the_plain_pass_drops(make_vit):
    for rates in ({"pos_drop": 0.3, "proj_drop": 0.3, "mlp_drop": 0.3}, {"drop_path": 0.5}):
        model = make_vit(**rates)
        images = torch.randn(8, 3, 8, 8)
        torch.manual_seed(1)
        plain = model(images)
        torch.manual_seed(1)
        stages = model.forward_stages(images)
        assert torch.allclose(stages["logits"], plain, atol=1e-6)
        assert all(len(stage) == 8 for stage in stages.values())


def test_registers_stand_behind_cls_without_a_position(make_vit):
    model = make_vit(num_registers=2).eval()
    images = torch.randn(2, 3, 8, 8)
    tokens = model.forward_stages(images)["tokens"]
    assert torch.equal(tokens[:, 0], (model.cls_token + model.position.embedding[:, :1])[0].expand(2, -1))
    assert torch.equal(tokens[:, 1:3], model.registers.expand(2, -1, -1))
    assert torch.equal(tokens[:, 3:], model.patch_embed(images) + model.position.embedding[:, 1:])


def test_a_distillation_token_has_a_head_of_its_own(make_vit):
    model = make_vit(distillation_token=True).eval()
    randomise(model)
    images = torch.randn(2, 3, 8, 8)
    both = model(images, both_heads=True)
    assert both.shape == (2, 2, 5)
    assert torch.allclose(model(images), both.mean(0), atol=1e-6)
    assert not torch.allclose(both[0], both[1])
    model(images, both_heads=True)[1].sum().backward()
    assert (model.head.weight.grad == 0).all()
    assert model.dist_token.grad.abs().sum() > 0
    with pytest.raises(ValueError, match="distillation_token=true needs class_token=true"):
        make_vit(distillation_token=True, class_token=False, pool=MeanPool)


def test_the_logits_of_deit_s_two_heads_equal_timm_s(make_vit):
    reference = timm.models.deit.VisionTransformerDistilled(
        img_size=8, patch_size=2, embed_dim=24, depth=2, num_heads=3, num_classes=5
    ).eval()
    randomise(reference)
    model = make_vit(distillation_token=True).eval()
    model.load_state_dict(renamed(reference.state_dict(), [("pos_embed", "position.embedding")]))
    images = torch.randn(2, 3, 8, 8)
    assert torch.allclose(model(images), reference(images), atol=1e-5)


def test_pooling_before_the_norm_equals_timm_s(make_vit):
    reference = timm.models.VisionTransformer(
        img_size=8, patch_size=2, embed_dim=24, depth=2, num_heads=3, num_classes=5, global_pool="avg", fc_norm=True
    ).eval()
    randomise(reference)
    model = make_vit(pool=MeanPool, pool_before_norm=True).eval()
    names = [("pos_embed", "position.embedding"), ("fc_norm", "norm")]
    model.load_state_dict(renamed(reference.state_dict(), names))
    images = torch.randn(2, 3, 8, 8)
    assert torch.allclose(model(images), reference(images), atol=1e-5)


def test_patches_are_left_out_while_training_only(make_vit):
    seen = []
    model = make_vit(patch_drop=0.5)
    model.blocks[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape[1]))
    images = torch.randn(2, 3, 8, 8)
    model(images), model.eval()(images)
    assert seen == [9, 17]


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ({"attention": LocalAttention}, "LocalAttention"),
        ({"attention": LocalitySelfAttention}, "LocalitySelfAttention"),
        ({"mlp": DepthwiseMlp}, "DepthwiseMlp"),
        ({"position": RotaryPosition, "embed_dim": 12}, "Rotation"),
        ({"depthwise_shortcut": True}, "DepthwiseShortcut"),
    ],
)
def test_holes_among_the_patches_are_refused_where_a_part_needs_all(make_vit, part, name):
    with pytest.raises(ValueError, match=f"patch_drop=0.25 leaves holes among the patches, which {name} cannot have"):
        make_vit(patch_drop=0.25, **part)


def test_a_mask_reaches_every_block(make_vit):
    model = make_vit().eval()
    images = torch.randn(2, 3, 8, 8)
    alone = torch.eye(17, dtype=torch.bool)
    stages = model.forward_stages(images, alone)
    assert torch.equal(stages["block01.weights"], alone.float().expand(2, 3, 17, 17))
    assert torch.allclose(model(images, alone), stages["logits"], atol=1e-6)
    swapped = images.flip(-1)
    assert torch.allclose(model(swapped, alone), model(images, alone), atol=1e-6)  # CLS sees none of the patches
    assert not torch.allclose(model(swapped), model(images), atol=1e-6)


def test_one_seed_gives_the_same_weights_in_every_process():
    code = (
        "import torch, hydra; from vitlab.config.compose import conf_dir\n"
        "with hydra.initialize_config_dir(str(conf_dir()), version_base='1.3'): cfg = hydra.compose('train')\n"
        "torch.manual_seed(0); model = hydra.utils.instantiate(cfg.model)\n"
        "print([p.sum().item() for p in model.parameters()])\n"
    )
    weights = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": str(order)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for order in (1, 2, 3)
    }
    assert len(weights) == 1


def test_tokens_and_positions_are_named_for_the_optimizer(make_vit):
    assert make_vit().no_weight_decay() == ["cls_token", "position.embedding"]
    every = make_vit(distillation_token=True, num_registers=1, pool=AttentionPool).no_weight_decay()
    assert every == ["cls_token", "dist_token", "registers", "position.embedding", "pool.query"]
    assert make_vit(class_token=False, pool=MeanPool).no_weight_decay() == ["position.embedding"]


def test_a_state_dict_round_trips(make_vit):
    model, other = make_vit(), make_vit()
    other.load_state_dict(copy.deepcopy(model.state_dict()))
    images = torch.randn(2, 3, 8, 8)
    assert torch.equal(model.eval()(images), other.eval()(images))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"num_heads": 5}, "num_heads=5 does not divide embed_dim=24; try 4 or 6"),
        ({"patch_size": 3}, "patch_size=3 does not divide image_size=8; try 2 or 4"),
        ({"depth": 0}, "depth=0 is not a positive number"),
        ({"embed_dim": 0}, "embed_dim=0 is not a positive number"),
        ({"channels": -3}, "channels=-3 is not a positive number"),
        ({"num_classes": 0}, "num_classes=0 is not a positive number"),
        ({"mlp_ratio": 0.0}, "mlp_ratio=0.0 is not a positive number"),
        ({"mlp_ratio": float("nan")}, "mlp_ratio=nan is not a positive number"),
        ({"mlp_ratio": 0.01}, "mlp_ratio=0.01 leaves the MLP of embed_dim=24 no width; try 4.0"),
        ({"mlp_drop": 1.0}, r"mlp_drop=1.0 lies outside \[0, 1\)"),
        ({"attn_drop": -0.1}, "attn_drop=-0.1 lies outside"),
        ({"drop_path": 1.5, "depth": 12}, "drop_path=1.5 lies outside"),
        ({"drop_path": -0.1, "depth": 12}, "drop_path=-0.1 lies outside"),
        ({"drop_path_schedule": "cosine"}, "linear, constant"),
        ({"class_token": False}, "pool=cls needs class_token=true"),
        ({"num_registers": -1}, "num_registers=-1 is negative; try 4"),
        ({"patch_drop": 1.0}, r"patch_drop=1.0 lies outside \[0, 1\)"),
        ({"layer_decay": 0.0}, r"layer_decay=0.0 lies outside \(0, 1\]; try 0.75"),
        ({"freeze": 3}, "freeze=3 is neither a number of blocks from 0 to 2 nor all; try 2"),
    ],
)
def test_illegal_sizes_are_refused_by_name(make_vit, setting, message):
    with pytest.raises(ValueError, match=message):
        make_vit(**setting)


def test_a_part_of_one_s_own_needs_no_change_here(make_vit):
    class Identity(nn.Module):
        def __init__(self, embed_dim, hidden_dim, layout, mlp_drop):
            super().__init__()

        def forward(self, tokens):
            return torch.zeros_like(tokens)

    assert make_vit(mlp=Identity)(torch.randn(1, 3, 8, 8)).shape == (1, 5)


@pytest.mark.parametrize("freeze", ["0", "1"])
def test_blocks_computed_anew_give_the_same_gradients_and_keep_less(vit, freeze):
    def run(anew):
        torch.manual_seed(2)
        settings = [f"model.grad_checkpointing={anew}", f"model.freeze={freeze}"]
        model = vit("vit_tiny", 32, 4, *settings, *(f"model.{rate}=0.2" for rate in ("mlp_drop", "drop_path")))
        randomise(model.train())
        kept = {}

        def keep(tensor):
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = model(torch.ones(8, 3, 32, 32)).square().sum()
        loss.backward()
        return {name: p.grad for name, p in model.named_parameters() if p.requires_grad}, sum(kept.values())

    (once, all_kept), (again, few_kept) = run("false"), run("true")
    assert once.keys() == again.keys()
    for name, grad in once.items():
        assert torch.equal(grad, again[name]), name
    assert few_kept < 0.4 * all_kept

import pytest
import timm.optim
import torch

from vitlab.models.finetune import freeze_blocks, layer_wise_scales
from vitlab.models.pool import AttentionPool
from vitlab.optim.parameter_groups import parameter_groups


def frozen(model):
    return {name for name, p in model.named_parameters() if not p.requires_grad}


def test_the_first_blocks_and_all_before_them_are_frozen(make_vit):
    model = make_vit(depth=3, num_registers=1, freeze=2)
    names = dict(model.named_parameters())
    before = {"cls_token", "registers", "position.embedding", "patch_embed.proj.weight", "patch_embed.proj.bias"}
    assert frozen(model) == before | {name for name in names if name.startswith(("blocks.0.", "blocks.1."))}


def test_nothing_is_frozen_by_default_and_all_leaves_the_heads(make_vit):
    assert frozen(make_vit()) == set()
    model = make_vit(distillation_token=True, pool=AttentionPool, freeze="all")
    heads = {"head.weight", "head.bias", "head_dist.weight", "head_dist.bias"}
    assert set(dict(model.named_parameters())) - frozen(model) == heads


def test_what_is_frozen_gets_no_gradient_and_no_group(make_vit):
    model = make_vit(freeze=1)
    model(torch.randn(2, 3, 8, 8)).sum().backward()
    assert {name for name, p in model.named_parameters() if p.grad is None} == frozen(model)
    trained = sum(len(group["params"]) for group in parameter_groups(model))
    assert trained == len(dict(model.named_parameters())) - len(frozen(model))


@pytest.mark.parametrize("freeze", [-1, 3, "some", True, 1.5])
def test_what_is_no_number_of_blocks_is_refused(make_vit, freeze):
    with pytest.raises(ValueError, match=f"freeze={freeze} is neither a number of blocks from 0 to 2 nor all; try 2"):
        freeze_blocks(make_vit(), freeze)


def test_learning_rates_fall_with_depth_as_timm_s(make_vit):
    reference = timm.models.VisionTransformer(
        img_size=8, patch_size=2, embed_dim=24, depth=3, num_heads=3, num_classes=5
    )
    groups = timm.optim.param_groups_layer_decay(reference, layer_decay=0.7)
    own = {id(p): name for name, p in reference.named_parameters()}
    theirs = {own[id(p)].replace("pos_embed", "position.embedding"): g["lr_scale"] for g in groups for p in g["params"]}
    theirs |= {
        "norm.weight": 1.0,
        "norm.bias": 1.0,
    }  # BEiT's own code counts the last norm to the head, timm to a block
    model = make_vit(depth=3, layer_decay=0.7)
    assert model.lr_scale == pytest.approx(theirs)
    assert model.lr_scale["blocks.2.mlp.fc1.weight"] == pytest.approx(0.7)


def test_a_decay_of_one_changes_nothing(make_vit):
    assert make_vit().lr_scale == {}


@pytest.mark.parametrize("decay", [0.0, -0.5, 1.1])
def test_a_decay_outside_its_range_is_refused(make_vit, decay):
    with pytest.raises(ValueError, match=rf"layer_decay={decay} lies outside \(0, 1\]; try 0.75"):
        layer_wise_scales(make_vit(), decay)

import torchvision
from torch import nn

from vitlab.engine.regions import blocks, region


def names(model):
    parts = blocks(model)
    return list(dict.fromkeys(region(name, parts) for name, _ in model.named_parameters()))


def test_a_vit_has_its_blocks_and_what_lies_around_them(make_vit):
    expected = ["cls_token", "patch_embed", "position", "block00", "block01", "norm", "head"]
    assert names(make_vit(depth=2)) == expected
    assert names(make_vit(depth=1)) == [name for name in expected if name != "block01"]


def test_lists_of_layers_inside_a_block_or_an_embedding_are_no_blocks(make_vit):
    model = make_vit(depth=1)
    model.blocks[0].mlp = nn.Sequential(nn.Linear(24, 48), nn.ReLU(), nn.Linear(48, 24))
    model.patch_embed = nn.Sequential(nn.Conv2d(3, 24, 1), nn.Flatten(2))
    assert list(blocks(model)) == ["blocks.0"]
    assert names(model)[:4] == ["cls_token", "patch_embed", "position", "block00"]


def test_models_of_others_are_named_after_their_own_lists():
    assert names(torchvision.models.vit_b_16())[2:5] == ["encoder", "encoder_layer_0", "encoder_layer_1"]
    inner = nn.Sequential(nn.Linear(2, 2))
    assert names(nn.Sequential(inner, inner, nn.Sequential(nn.Linear(2, 2)))) == ["block00", "block02"]
    assert names(nn.Sequential(nn.Flatten(), nn.Linear(2, 2))) == ["layer01"]

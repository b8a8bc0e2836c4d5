import json
from functools import partial
from itertools import product

import pytest
import torch
from torch import nn

from vitlab.config.build import build
from vitlab.config.compose import conf_dir, resolved
from vitlab.errors import VitlabError
from vitlab.microscopy.maps import Maps
from vitlab.microscopy.observing import agreement, observe, refuse_opaque
from vitlab.models.mlp import GeluMlp

OPTIONS = {
    group: sorted(path.stem for path in (conf_dir() / "model" / group).glob("[!_]*.yaml"))
    for group in ("attention", "position", "patch_embed", "pool")
}
PAIRS = list(enumerate(product(OPTIONS["attention"], OPTIONS["position"])))
SIZES = ("model.embed_dim=16", "model.num_heads=2", "model.depth=1", "model.num_registers=1")


@pytest.mark.parametrize(("number", "pair"), PAIRS, ids=str)
def test_every_part_with_every_other_can_be_looked_into(compose, normalise, number, pair):
    attention, position = pair
    turn = {group: OPTIONS[group][number % len(OPTIONS[group])] for group in ("patch_embed", "pool")}
    choice = {"attention": attention, "position": position, **turn}
    overrides = [f"model/{group}={name}" for group, name in choice.items()]
    cfg = resolved(compose([*overrides, *SIZES, f"model.distillation_token={number % 2 == 0}"]))
    try:
        model = build(cfg, "model").eval()
    except VitlabError:
        assert pair == ("linear", "relative_bias")  # the only two that exclude each other
        return
    images = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8)
    with torch.no_grad():
        logits = model(normalise(images))
    right = partial(torch.ones, 5, dtype=torch.bool)
    seen = observe(refuse_opaque(model), normalise, images, batch_size=5, shown=2, right=right)
    json.dumps(seen.found, allow_nan=False)
    assert seen.maps.attention.shape == (2, 1, 2, 4, 4)
    assert seen.maps.rollout.isfinite().all()
    assert (len(seen.grids) > 0) == (position != "none")
    assert (seen.biases is not None) == (position == "relative_bias")
    assert (seen.filters is None) == (turn["patch_embed"] in ("cct", "conv_stem", "shifted"))
    with torch.no_grad():
        assert torch.equal(model(normalise(images)), logits)  # the model is as it was


def test_a_model_or_an_attention_that_shows_no_weights_is_refused_by_name(vit):
    with pytest.raises(ValueError, match="its model is a Linear"):
        refuse_opaque(nn.Linear(2, 2))
    model = vit()
    model.blocks[1].attn = GeluMlp(24, 24, model.layout)
    with pytest.raises(ValueError, match="GeluMlp has no forward_with_weights"):
        refuse_opaque(model)


def test_the_same_images_show_the_same_twice(vit, normalise, images):
    model = vit()
    one, other = (observe(model, normalise, images, batch_size=5, shown=2) for _ in range(2))
    assert one.found == other.found
    assert all(torch.equal(value, other.maps.tensors()[name]) for name, value in one.maps.tensors().items())


def test_parts_are_taken_out_only_where_labels_tell_what_is_right(vit, normalise, images):
    assert "ablation" not in observe(vit(), normalise, images, batch_size=8, shown=1).found


def test_maps_agree_with_themselves_and_an_even_one_with_none():
    one = torch.rand(2, 3, 3)

    def of(gradient_rollout):
        return agreement(Maps(*[torch.empty(0)] * 4, one, gradient_rollout))

    assert of(one * 3 + 1) == pytest.approx(1)
    assert of(-one) == pytest.approx(-1)
    assert of(torch.ones(2, 3, 3)) is None

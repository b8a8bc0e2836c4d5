import math

import pytest
import torch

from vitlab.microscopy.capture import capture
from vitlab.microscopy.cka import Alignment
from vitlab.microscopy.distance import mean_distance
from vitlab.microscopy.looking import look


def test_figures_are_means_over_images_whatever_the_batches_are(vit, normalise, images):
    model = vit()
    whole, pieces = look(model, normalise, [images]), look(model, normalise, images.split(3))
    weights = capture(model, normalise(images)).weights
    expected = torch.stack([mean_distance(of_block, model.layout) for of_block in weights])
    for found in (whole, pieces):
        assert torch.allclose(torch.tensor(found["distance"]["patches"]), expected, atol=1e-5)
        assert found["similarity"] == pytest.approx(whole["similarity"], abs=1e-6)
        assert found["entropy"]["even"] == math.log(19)
        sums = sum(torch.tensor(share) for share in found["shares"].values())
        assert torch.allclose(sums, torch.ones(2, 3))
    assert list(whole["shares"]) == ["CLS", "registers", "itself", "other patches"]


def test_layers_are_compared_with_each_other_and_with_those_of_another_model(vit, normalise, images):
    model, deeper = vit(), vit(depth=3, embed_dim=12, patch_size=4, num_registers=0)
    found = look(model, normalise, [images], (deeper, normalise))
    own, beside = torch.tensor(found["cka"]), torch.tensor(found["cka_other"])
    assert own.shape == (3, 3)
    assert torch.allclose(own.diagonal(), torch.ones(3))
    assert beside.shape == (3, 4)
    alignment = Alignment()
    alignment.add(*(capture(one, normalise(images)).layers for one in (model, deeper)))
    assert torch.allclose(beside, alignment.found())


def test_of_three_images_there_is_no_cka(vit, normalise, images):
    assert look(vit(), normalise, [images[:3]])["cka"] is None

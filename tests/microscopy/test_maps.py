import torch

from vitlab.microscopy.maps import maps
from vitlab.microscopy.rollout import rollout
from vitlab.models.pool import MeanPool


def test_with_cls_the_maps_are_its_own_rows(vit, normalise, images):
    model = vit()
    found = maps(model, normalise, images[:3])
    stages = model.forward_stages(normalise(images[:3]))
    for block in range(2):
        row = stages[f"block{block:02d}.weights"][:, :, 0, 3:].reshape(3, 3, 4, 4)
        assert torch.allclose(found.attention[:, block], row, atol=1e-6)
    through_all = rollout([stages["block00.weights"], stages["block01.weights"]])[:, 0, 3:]
    assert torch.allclose(found.rollout, through_all.reshape(3, 4, 4), atol=1e-6)
    assert torch.allclose(found.probabilities, stages["logits"].softmax(1), atol=1e-5)
    assert torch.equal(found.images, images[:3])


def test_with_the_mean_of_the_patches_they_are_the_mean_of_theirs(vit, normalise, images):
    model = vit(pool=MeanPool, class_token=False)
    found = maps(model, normalise, images[:2])
    weights = model.forward_stages(normalise(images[:2]))["block01.weights"]
    assert torch.allclose(found.attention[:, 1], weights[:, :, 2:, 2:].mean(dim=2).reshape(2, 3, 4, 4), atol=1e-6)


def test_gradient_rollout_is_for_the_class_that_is_seen_and_never_negative(vit, normalise, images):
    model = vit()
    found = maps(model, normalise, images[:2])
    assert (found.gradient_rollout >= 0).all()
    model.head.weight.data[found.probabilities[0].argmax()] *= -1
    model.head.bias.data.fill_(0)
    changed = maps(model, normalise, images[:2])
    assert not torch.allclose(changed.gradient_rollout[0], found.gradient_rollout[0])
    assert torch.equal(changed.rollout, found.rollout)


def test_all_of_them_are_kept_by_name(vit, normalise, images):
    tensors = maps(vit(), normalise, images[:2]).tensors()
    assert list(tensors) == ["images", "probabilities", "read", "attention", "rollout", "gradient_rollout"]
    assert {len(tensor) for tensor in tensors.values()} == {2}

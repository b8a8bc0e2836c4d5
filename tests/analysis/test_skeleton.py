import pytest
import torch

from vitlab.analysis.cost import count_parameters, flops_per_image
from vitlab.analysis.skeleton import skeleton
from vitlab.config.build import build
from vitlab.config.compose import conf_dir, resolved
from vitlab.errors import VitlabError

PARTS = [
    f"model/{path.parent.name}={path.stem}"
    for path in sorted((conf_dir() / "model").glob("*/*.yaml"))
    if not path.name.startswith("_")
]


@pytest.mark.parametrize("part", PARTS)
def test_a_model_without_memory_costs_what_the_model_costs(compose, part):
    cfg = resolved(compose([part, "model.depth=1", "data=cifar10"]))
    bare, model = skeleton(cfg), build(cfg, "model")
    assert count_parameters(bare) == count_parameters(model)
    assert flops_per_image(bare, 3, 32) == flops_per_image(model, 3, 32)


def test_it_has_no_memory_and_reads_no_weights(compose):
    cfg = resolved(compose(["model=vit_large", "data=cifar10", "model.weights=/no/such/file"]))
    assert {p.device for p in skeleton(cfg).parameters()} == {torch.device("meta")}


def test_a_part_that_looks_at_its_values_is_built_as_it_is_trained(compose):
    cfg = resolved(compose(["model/attention=window", "model.depth=1", "data=cifar10"]))
    assert next(skeleton(cfg).parameters()).device == torch.device("cpu")


def test_what_a_part_refuses_is_refused(compose):
    cfg = resolved(compose(["model/position=rope_2d", "model.embed_dim=12", "model.num_heads=4"]))
    with pytest.raises(VitlabError, match="^model"):
        skeleton(cfg)

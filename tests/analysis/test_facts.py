import torch

from vitlab.analysis.facts import NO_SECOND_PATH, facts
from vitlab.analysis.fused import compare_paths
from vitlab.analysis.stages import anatomy_of


def told(model):
    return dict(facts(anatomy_of(model, 3, 16), compare_paths(model, torch.randn(1, 3, 16, 16))))


def test_sizes_and_costs_are_told(vit):
    model = vit("model.num_registers=2", "model.freeze=1")
    said = told(model)
    assert said["Tokens"] == "19 for an image: 16 patches of 4 × 4 pixels and 3 before them (class token, registers)."
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    assert f"{frozen:,} of them frozen" in said["Parameters"]
    assert "4 × 19 × 19 weights" in said["Weights in memory"]
    assert "in all 2 blocks while it trains" in said["Weights in memory"]
    assert said["Eager against fused"].count("the same") == 2


def test_the_growth_is_that_of_the_attention(vit):
    assert "grows with the square" in told(vit())["Where FLOPs go"]
    assert "in step with the number of tokens" in told(vit("model/attention=linear"))["Where FLOPs go"]
    windows = vit("model/attention=window", "model.patch_size=1")
    assert "how many of them each one sees" in told(windows)["Where FLOPs go"]


def test_a_model_with_one_path_says_so(vit):
    said = dict(facts(anatomy_of(vit("model.class_token=false", "model/pool=mean"), 3, 16), None))
    assert said["Tokens"] == "16 for an image: 16 patches of 4 × 4 pixels."
    assert NO_SECOND_PATH in said["Eager against fused"]

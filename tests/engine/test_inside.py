import math

import pytest
import torch
from scipy.stats import entropy as scipys
from sklearn.metrics.pairwise import cosine_similarity
from torch import nn

from vitlab.config.build import build
from vitlab.config.compose import resolved
from vitlab.engine.distributed import World
from vitlab.engine.inside import entropy, look, similarity
from vitlab.engine.precision import Precision

PRECISION = Precision("fp32", torch.device("cpu"))


def images(count=8, size=8, channels=3):
    return torch.randn(count, channels, size, size, generator=torch.Generator().manual_seed(0))


def randomised(model):
    """Weights under which no part of a model is without effect."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model


def test_entropy_is_scipy_s_in_units_of_the_greatest():
    weights = torch.rand(2, 3, 5, 5, generator=torch.Generator().manual_seed(0)).softmax(dim=-1)
    expected = scipys(weights.numpy(), axis=-1).mean(axis=(0, 2)) / math.log(5)
    assert entropy(weights).tolist() == pytest.approx(expected.tolist(), abs=1e-6)


def test_an_attention_that_sees_one_token_has_none_and_one_that_sees_all_alike_has_all():
    left = torch.eye(5).roll(-1, dims=1).expand(2, 3, 5, 5)
    assert entropy(left).tolist() == [0, 0, 0]
    assert entropy(torch.full((2, 3, 5, 5), 0.2)).tolist() == pytest.approx([1, 1, 1])


def test_tokens_that_may_not_be_seen_and_those_without_a_choice_do_not_count():
    allowed = torch.tensor([[True, True, False], [True, False, False], [False, False, False]])
    scores = torch.zeros(1, 1, 3, 3).masked_fill(~allowed, -math.inf)
    weights = torch.tensor([[0.5, 0.5, 0], [1, 0, 0], [0, 0, 0]]).expand(1, 1, 3, 3)
    assert entropy(weights, scores).tolist() == pytest.approx([1])


def test_similarity_is_that_of_scikit_learn_between_different_tokens():
    tokens = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(0))
    pairs = [cosine_similarity(one)[~torch.eye(4, dtype=torch.bool).numpy()] for one in tokens.numpy()]
    assert similarity(tokens).item() == pytest.approx(sum(p.mean() for p in pairs) / 2, abs=1e-6)


def test_logits_and_heads_are_those_of_the_attention_taken_apart(make_vit):
    model = randomised(make_vit(depth=1)).eval()
    taken = {}
    attention = model.blocks[0].attn
    attention.register_forward_pre_hook(lambda _, args: taken.update(tokens=args[0]))
    found = look(model, images(), 8, PRECISION)
    tokens = taken["tokens"].detach()
    q, k, _ = attention.qkv(tokens).unflatten(-1, (3, 3, 8)).permute(2, 0, 3, 1, 4)  # [B, H, T, K] each
    assert found["block00/largest_logit"] == pytest.approx([(q @ k.transpose(2, 3) / math.sqrt(8)).max().item()])
    whole = attention(tokens)
    for head in range(3):
        columns = attention.proj.weight[:, head * 8 : head * 8 + 8]
        kept = columns.detach().clone()
        with torch.no_grad():
            columns.zero_()
            power = (whole - attention(tokens)).square().sum(dim=-1).mean().item()
            columns.copy_(kept)
        assert found["block00/head_power"][head] == pytest.approx(power, rel=1e-4)


def test_answers_that_are_all_the_same_have_no_spread_and_others_that_of_their_probabilities():
    class Answers(nn.Module):
        def forward(self, x):
            return self.logits

    model = Answers()
    model.logits = torch.tensor([[2.0, 1.0, 0.0]] * 4)
    found = look(model, images(4), 4, PRECISION)
    assert found["answer_spread"] == pytest.approx([0], abs=1e-6)
    assert found["answer_confidence"] == pytest.approx([math.exp(2) / (math.exp(2) + math.exp(1) + 1)])
    model.logits = torch.eye(2)[[0, 0, 1, 1]] * 100
    assert look(model, images(4), 4, PRECISION)["answer_spread"] == pytest.approx([0.5])
    assert math.isnan(look(model, images(4), 3, PRECISION)["answer_spread"][0])


@pytest.mark.parametrize(
    ("setting", "has_logits"),
    [
        *[(f"model/attention={name}", True) for name in ("window", "local", "lsa", "multi_query")],
        *[(f"model/position={name}", True) for name in ("relative_bias", "rope_2d")],
        *[("model/attention=linear", False), ("model/block=parallel", True), ("model.num_registers=4", True)],
    ],
)
def test_every_attention_and_block_of_the_lab_is_looked_into(compose, setting, has_logits):
    cfg = compose(["model.depth=2", "model.embed_dim=16", "model.num_heads=2", setting])
    found = look(build(resolved(cfg), "model"), images(channels=1), 8, PRECISION)
    expected = {"attention_entropy": 2, "head_power": 2, "token_similarity": 1} | (
        {"largest_logit": 1} if has_logits else {}
    )
    assert {name: len(each) for name, each in found.items() if "answer" not in name} == {
        f"block{number:02d}/{name}": count for number in (0, 1) for name, count in expected.items()
    }
    assert all(math.isfinite(number) for each in found.values() for number in each)
    assert all(0.5 < each[0] <= 1.0001 for name, each in found.items() if name.endswith("entropy"))


def test_of_a_model_that_is_no_vit_it_tells_what_there_is():
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 5))
    assert set(look(model, images(), 8, PRECISION)) == {"answer_spread", "answer_confidence"}
    assert look(nn.Identity(), images(), 8, PRECISION) == {}


def test_the_model_and_the_generators_are_left_as_they_were(make_vit):
    class Drawing(nn.Module):
        def forward(self, x):
            return x + torch.rand(())

    model = make_vit(depth=1, attn_drop=0.1).train()
    model.pos_drop = Drawing()
    model.blocks[0].mlp.eval()
    modes = {name: module.training for name, module in model.named_modules()}
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    look(model, images(), 8, PRECISION)
    assert torch.equal(state, torch.get_rng_state())
    assert {name: module.training for name, module in model.named_modules()} == modes
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_look_that_fails_leaves_no_hooks_and_the_mode(make_vit):
    model = make_vit(depth=1).train()
    with pytest.raises(ValueError, match="do not fit"):
        look(model, images(channels=2), 8, PRECISION)
    assert model.training
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_with_very_many_tokens_fewer_images_are_written_out(make_vit, monkeypatch):
    monkeypatch.setattr("vitlab.engine.inside._MOST_SCORES", 2 * 17**2)
    model, sizes = make_vit(depth=1), []
    writes = model.blocks[0].attn.forward_with_weights
    model.blocks[0].attn.forward_with_weights = lambda tokens, mask: (sizes.append(len(tokens)), writes(tokens, mask))[
        1
    ]
    look(model, images(), 8, PRECISION)
    assert sizes == [2]


class OneOf(World):
    """One of several processes whose fellows have summed up and found these."""

    def __init__(self, size, totals=(), others=()):
        super().__init__(0, size)
        self.__dict__ |= {"totals": totals, "others": others, "own": None}

    def sum(self, tensor):
        return tensor + sum(self.totals)

    def gather(self, value):
        self.__dict__["own"] = value
        return [value, *self.others]


def test_several_processes_tell_what_one_does_of_all_their_images(make_vit):
    model = randomised(make_vit()).eval()
    shares = [(images()[rank::3], count) for rank, count in enumerate((3, 3, 2))]
    shares.append((images(1), 0))  # a fourth, which had nothing to share
    sums = [model(own)[:count].softmax(dim=-1).sum(dim=0).detach() for own, count in shares]
    totals = [torch.cat([total, torch.tensor([float(count)])]) for total, (_, count) in zip(sums, shares, strict=True)]
    found = []
    for rank, (own, count) in enumerate(shares[1:], start=1):
        world = OneOf(4, [total for other, total in enumerate(totals) if other != rank], found)
        look(model, own, count, PRECISION, world)
        found.append(world.own)
    together = look(model, *shares[0], PRECISION, OneOf(4, totals[1:], found))
    alone = look(model, images(), 8, PRECISION)
    assert together.keys() == alone.keys()
    for name, numbers in together.items():
        assert numbers == pytest.approx(alone[name], rel=1e-4), name

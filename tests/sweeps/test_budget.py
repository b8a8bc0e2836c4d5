import hydra
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitlab.analysis.cost import count_parameters, flops_per_image
from vitlab.config.build import build
from vitlab.config.compose import conf_dir, resolved
from vitlab.errors import VitlabError
from vitlab.sweeps.budget import fit_budget, parse_budget, settle_budget


@pytest.mark.parametrize(
    ("text", "kind", "amount"),
    [
        ("params:3.5M", "params", 3.5e6),
        ("params:800k", "params", 8e5),
        ("flops:1.2G", "flops", 1.2e9),
        ("flops:5000", "flops", 5000),
        ("time:10min", "time", 600),
        ("time:1.5h", "time", 5400),
        ("time:30s", "time", 30),
    ],
)
def test_a_budget_is_read_with_its_unit(text, kind, amount):
    budget = parse_budget(text)
    assert (budget.kind, budget.amount) == (kind, pytest.approx(amount))


@pytest.mark.parametrize(
    "text", ["3.5M", "params", "params:", "params:x", "params:3X", "time:10M", "params:0", "pramas:1M", 5]
)
def test_what_is_no_budget_is_refused_with_examples(text):
    with pytest.raises(VitlabError, match=r"budget=.*; write budget=params:3.5M"):
        parse_budget(text)


@pytest.mark.parametrize(
    ("text", "typed"),
    [("params:1M", "model.embed_dim=64"), ("flops:1M", "+model.embed_dim=64"), ("time:1min", "trainer.epochs=3")],
)
def test_what_the_budget_finds_must_not_be_typed_too(text, typed):
    with pytest.raises(VitlabError, match=f"budget={text} finds .* by itself; leave"):
        parse_budget(text, [typed])
    parse_budget(text, ["model.depth=3"])


def cost(cfg, kind):
    model = build(resolved(cfg), "model")
    return (
        count_parameters(model) if kind == "params" else flops_per_image(model, cfg.data.channels, cfg.data.image_size)
    )


@settings(max_examples=12, deadline=None)
@given(depth=st.integers(1, 6), heads=st.sampled_from([1, 2, 3, 5, 6]), amount=st.integers(30_000, 2_000_000))
def test_no_other_legal_width_comes_nearer_to_the_budget(depth, heads, amount):
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = hydra.compose("train", [f"model.depth={depth}", f"model.num_heads={heads}", f"budget=params:{amount}"])
    try:
        matched = fit_budget(cfg)["budget"]
    except VitlabError as error:
        assert "the narrowest model" in str(error)  # noqa: PT017
        return
    width = cfg.model.embed_dim
    assert width % heads == 0
    assert matched["cost"] == cost(cfg, "params")
    assert matched["off"] == pytest.approx(matched["cost"] / amount - 1)
    for other in (width - heads, width + heads):
        if other > 0:
            cfg.model.embed_dim = other
            assert abs(cost(cfg, "params") - amount) >= abs(matched["cost"] - amount)


def test_depths_are_compared_at_equal_cost_and_the_rest_stays(compose):
    widths = []
    for depth in (4, 8, 12):
        cfg = compose([f"model.depth={depth}", "model=vit_tiny", "data=cifar10", "budget=flops:500M"])
        matched = fit_budget(cfg)["budget"]
        assert cost(cfg, "flops") == matched["cost"]
        assert abs(matched["off"]) < 0.05
        widths.append(cfg.model.embed_dim)
    assert widths == sorted(widths, reverse=True)


def test_widths_that_a_part_refuses_are_passed_over(compose):
    cfg = compose(["model/position=rope_2d", "model.num_heads=3", "budget=params:300K"])
    fit_budget(cfg)
    assert (cfg.model.embed_dim // 3) % 4 == 0
    build(resolved(cfg), "model")


def test_before_its_width_is_found_a_model_has_one_that_fits_its_heads(compose):
    cfg = compose(["model.num_heads=3", "budget=params:300K"])
    settle_budget(cfg, ["model.num_heads=3"])
    assert cfg.model.embed_dim % 3 == 0
    with pytest.raises(VitlabError, match="leave model.embed_dim=64 out"):
        settle_budget(cfg, ["model.embed_dim=64"])


@pytest.mark.parametrize(
    ("text", "message"), [("params:10", "the narrowest model of 4 heads"), ("time:0.00001s", "less than one step")]
)
def test_a_budget_for_nothing_is_refused(compose, text, message):
    with pytest.raises(VitlabError, match=message):
        fit_budget(compose([f"budget={text}", "tracker=none"]))


@pytest.mark.parametrize("validate", ["1 epoch", "10 steps", "0.25 of run"])
def test_a_time_budget_gives_so_many_steps_as_fit_with_their_validations(compose, validate):
    cfg = compose(["budget=time:20s", "model.depth=1", f"trainer.validate_every='{validate}'"])
    matched = fit_budget(cfg)["budget"]
    steps = cfg.trainer.max_steps
    assert steps == matched["max_steps"]
    between = {"1 epoch": 21, "10 steps": 10, "0.25 of run": steps / 4}[validate]  # 1293 images in batches of 64
    seconds = steps * matched["seconds_per_step"] + steps / between * matched["seconds_per_validation"]
    assert seconds == pytest.approx(20, rel=0.05)


def test_without_a_budget_nothing_changes(compose):
    cfg = compose()
    assert fit_budget(cfg) == {}
    assert cfg == compose()

"""The look inside a model that trains for real: on the blobs of conftest, and on digits."""

import math

import pytest
import torch
from torch import nn
from torch._dynamo.utils import counters

from vitlab.assembly import assemble
from vitlab.config.compose import resolved
from vitlab.engine.health import Health
from vitlab.engine.snapshot import first_difference_of_states, restore, snapshot
from vitlab.engine.stop import GracefulStop
from vitlab.errors import Interrupted

EVERY = "2 steps"
NARROW = ("model.depth=2", "model.embed_dim=32", "model.num_heads=2", "trainer.batch_size=32")


class Rows:
    def __init__(self, at=None):
        self.rows, self.said, self.at = [], [], at or {}

    def log(self, row):
        self.rows.append({k: v for k, v in row.items() if k not in ("seconds", "images_per_second")})

    def progress(self, step):
        if step in self.at:
            self.at[step]()

    def say(self, message):
        self.said.append(message)

    def of_health(self):
        return [row for row in self.rows if any(key.startswith("health/") for key in row)]


@pytest.fixture
def vit(make_vit):
    """``vit(**settings)``: a ViT for the blobs, always with the same weights."""

    def make(**settings):
        torch.manual_seed(3)
        return make_vit(**{"image_size": 4, "channels": 1, "num_classes": 3, "drop_path": 0.2, **settings})

    return make


def gentle(model):
    return torch.optim.AdamW(model.parameters(), lr=1e-3)


def trained(trainer, tracker=None):
    torch.manual_seed(5)
    tracker = tracker or Rows()
    trainer.fit(tracker)
    return tracker


@pytest.mark.parametrize(
    "settings",
    [{}, {"ema_decay": 0.9, "accumulate": 3, "clip_norm": 0.5}, {"precision": "bf16"}, {"skip_bad_steps": 2}],
    ids=["plain", "ema, accumulated, clipped", "bf16", "may skip"],
)
def test_a_run_is_the_same_to_the_bit_with_it_and_without(make_trainer, vit, settings):
    without = make_trainer("without", model=vit(), epochs=2, **settings)
    expected = trained(without)
    looked_at = make_trainer("with", model=vit(), epochs=2, health_every=EVERY, **settings)
    found = trained(looked_at)
    assert [row["step"] for row in found.of_health()] == [2, 4, 6, 8]
    assert [row for row in found.rows if row not in found.of_health()] == expected.rows
    about_itself = {"rows": 0, "told": []}
    assert first_difference_of_states(snapshot(looked_at) | about_itself, snapshot(without) | about_itself) is None


def test_a_row_has_a_figure_for_each_region_and_each_block(make_trainer, vit):
    row = trained(make_trainer(model=vit(), health_every=EVERY, optimizer=gentle, epochs=1)).of_health()[0]
    regions = ["cls_token", "patch_embed", "position", "block00", "block01", "norm", "head"]
    expected = {f"{region}/{figure}" for region in regions for figure in ("grad_norm", "update_ratio")}
    inside = ("attention_entropy", "largest_logit", "token_similarity")
    expected |= {f"block{i:02d}/{figure}" for i in (0, 1) for figure in inside}
    expected |= {"update_ratio", "dead_heads", "answer_spread", "answer_confidence"}
    assert {key for key in row if key.startswith("health/")} == {f"health/{name}" for name in expected}
    assert all(isinstance(value, int | float) and math.isfinite(value) for value in row.values())
    assert row["health/dead_heads"] == 0


def test_a_model_that_is_no_vit_tells_its_gradients_and_strides(make_trainer):
    row = trained(make_trainer(health_every=EVERY)).of_health()[0]
    assert {key.rpartition("/")[2] for key in row if key.startswith("health/")} == {
        *("grad_norm", "update_ratio", "answer_spread", "answer_confidence")
    }


def test_a_resumed_run_has_the_same_rows_and_says_nothing_twice(make_trainer, vit):
    sick = {"optimizer": lambda model: torch.optim.SGD(model.parameters(), lr=3.0), "health_every": EVERY}
    expected = trained(make_trainer("unbroken", model=vit(), **sick))
    assert expected.said
    first = make_trainer("broken", model=vit(), **sick)
    tracker = Rows(at={7: lambda: first.parts.stop._handle(15, None)})
    with pytest.raises(Interrupted):
        trained(first, tracker)
    second = make_trainer("broken", model=vit(), **sick)
    restore(second, second.parts.checkpoints.load_latest(pytest.fail), pytest.fail)
    second.fit(tracker)
    assert tracker.rows == expected.rows
    assert tracker.said == expected.said


def test_what_is_said_is_in_the_row_and_each_kind_once_a_run(make_trainer, vit):
    model = vit()
    with torch.no_grad():
        model.blocks[1].attn.qkv.weight *= 300
    tracker = trained(make_trainer(model=model, health_every=EVERY))
    warned = [row for row in tracker.rows if "health/warning" in row]
    assert [f"step {row['step']}: {row['health/warning']}" for row in warned] == tracker.said
    assert sum("attention logits have grown" in said for said in tracker.said) == 1
    assert "in block01" in tracker.said[0]


def test_a_head_without_a_way_out_is_told(make_trainer, vit):
    class Closed(nn.Module):
        def forward(self, weight):
            return weight * self.open

    model, closed = vit(), Closed()
    closed.open = torch.ones(24)
    closed.open[8:16] = 0  # the columns of the second of three heads
    nn.utils.parametrize.register_parametrization(model.blocks[0].attn.proj, "weight", closed)
    seldom = {"validate_every": "1 of run", "save_every": "1 of run", "optimizer": gentle}
    tracker = trained(make_trainer(model=model, health_every="100 steps", max_steps=500, batch_size=8, **seldom))
    assert all(row["health/dead_heads"] == 1 for row in tracker.of_health())
    assert [said.partition(",")[0] for said in tracker.said] == [
        "step 500: head 1 of block00 gives the tokens next to nothing"
    ]


def test_a_step_that_was_left_out_is_not_looked_at(make_trainer, vit):
    trainer = make_trainer(model=vit(), health_every=EVERY, skip_bad_steps=1, epochs=1)
    whole = trainer.accumulation.objective

    def objective(model, images, targets):
        return whole(model, images, targets) * (math.nan if trainer.step + 1 == 2 else 1)

    trainer.accumulation.objective = objective
    assert [row["step"] for row in trained(trainer).of_health()] == [4]


def test_without_it_nothing_is_looked_at(make_trainer, vit):
    assert not trained(make_trainer(model=vit(), epochs=1)).of_health()
    assert not any(Health(None).due(step) for step in range(1000))


@pytest.mark.slow
def test_a_compiled_model_is_not_compiled_again_for_it(make_trainer, vit):
    def compiled(name, **settings):
        torch.compiler.reset()
        counters.clear()
        trainer = make_trainer(name, model=vit(depth=1, drop_path=0.0), epochs=1, **settings)
        trainer.model.compile(backend="eager")  # the same graphs, which nothing has to translate
        trained(trainer)
        return counters["stats"]["unique_graphs"], trainer.model.state_dict()

    (expected, theirs), (graphs, ours) = compiled("without"), compiled("with", health_every="1 step")
    assert graphs == expected > 0
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())


def on_digits(compose, folder, *overrides, steps):
    cfg = compose(["tracker=none", "trainer.device=cpu", f"trainer.max_steps={steps}", *overrides])
    trainer = assemble(resolved(cfg), folder, GracefulStop()).trainer
    tracker = Rows()
    trainer.fit(tracker)
    return tracker


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "steps"),
    [
        *[((f"seed={seed}",), 100) for seed in (0, 1, 2)],
        (("optimizer=muon", "model/pool=mean", "model/attention=window", *NARROW), 220),
        (("optimizer=sgd", "model/position=rope_2d", "model/attention=linear", *NARROW), 220),
        (("model/block=post_norm", "model.layer_scale=1e-5", "trainer.ema_decay=0.9", *NARROW), 220),
    ],
    ids=str,
)
def test_healthy_runs_raise_no_warning(compose, tmp_path, overrides, steps):
    tracker = on_digits(compose, tmp_path, "trainer.health_every=20 steps", *overrides, steps=steps)
    assert len(tracker.of_health()) == steps // 20
    assert tracker.said == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "steps", "said"),
    [
        (["optimizer.lr=10"], 20, "the learning rate is too large"),
        (["optimizer.lr=0.1"], 40, "attention logits have grown"),
        (["optimizer.lr=1e-7", "scheduler=constant", *NARROW, "trainer.batch_size=8"], 500, "rate is too small"),
        (["optimizer.lr=1e-7", *NARROW, "trainer.batch_size=8"], 500, "all images get the same answer"),
    ],
)
def test_sick_runs_are_told_by_their_cause(compose, tmp_path, overrides, steps, said):
    tracker = on_digits(compose, tmp_path, "trainer.health_every=10 steps", *overrides, steps=steps)
    assert sum(said in sentence for sentence in tracker.said) == 1, tracker.said

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from vitlab.engine.checkpoint import BEST, LAST, read
from vitlab.engine.contracts import Tracker
from vitlab.engine.seeding import augmentation_rng
from vitlab.engine.snapshot import restore, snapshot, weights_to_evaluate
from vitlab.errors import Interrupted, VitlabError


class Rows:
    """A tracker that keeps what it is told; ``at`` calls a function when so many steps are done."""

    def __init__(self, at=None):
        self.rows, self.said, self.at = [], [], at or {}

    def log(self, row):
        self.rows.append(dict(row))

    def progress(self, step):
        if step in self.at:
            self.at[step]()

    def say(self, message):
        self.said.append(message)

    def untimed(self):
        """The rows without what depends on the clock."""
        return [{k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in self.rows]

    def columns(self, name):
        return [row[name] for row in self.rows if name in row]


def stop(trainer, signum=15):
    """What a signal does, without the process."""
    trainer.parts.stop._handle(signum, None)


def trained(trainer, tracker: Tracker | None = None):
    tracker = tracker or Rows()
    trainer.fit(tracker)
    return tracker


def go_on(trainer):
    """What ``resume=`` does."""
    restore(trainer, trainer.parts.checkpoints.load_latest(pytest.fail), pytest.fail)


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_the_steps_are_those_of_a_loop_written_out_by_hand(make_trainer):
    trainer = make_trainer(epochs=2)
    model = copy.deepcopy(trainer.model).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    torch.manual_seed(3)
    tracker = trained(trainer)

    torch.manual_seed(3)
    losses, step = [], 0
    for epoch in range(2):
        for images, labels in trainer.train_batches.epoch(epoch):
            noisy, _ = trainer.parts.augment.train(images, labels, augmentation_rng(7, step))
            for group in optimizer.param_groups:
                group["lr"] = 0.02 * (1 - step / 8)
            loss = F.cross_entropy(model(noisy), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append((loss.item(), len(labels)))
            step += 1
    assert all(
        torch.allclose(p, q, atol=1e-7) for p, q in zip(trainer.model.parameters(), model.parameters(), strict=True)
    )
    first, last = losses[:3], losses[6:]
    means = [sum(loss * n for loss, n in part) / sum(n for _, n in part) for part in (first, losses[3:6], last)]
    assert tracker.columns("train/loss") == pytest.approx(means, abs=1e-6)


def test_each_row_carries_its_position(make_trainer):
    tracker = trained(make_trainer(epochs=2))
    position = [(row["step"], row["epoch"], row["images_seen"]) for row in tracker.rows]
    assert position == [(3, 0.75, 48), (4, 1, 50), (6, 1.5, 82), (8, 2, 100), (8, 2, 100)]
    assert tracker.columns("lr") == pytest.approx([0.02 * f for f in (6 / 8, 3 / 8, 1 / 8)])
    assert all(row["seconds"] > 0 for row in tracker.rows)


def test_it_learns_and_the_test_split_is_judged_by_the_best_weights(make_trainer):
    trainer = make_trainer(epochs=20)
    tracker = trained(trainer)
    best = max(tracker.columns("val/accuracy"))
    assert best > 0.85
    assert trainer.best.accuracy == best
    assert trainer.best.step == [row["step"] for row in tracker.rows if row.get("val/accuracy") == best][-1]
    test = trainer.test()
    assert same(trainer.model.state_dict(), read(trainer.parts.checkpoints.folder / BEST)["model"])
    assert tracker.rows[-1]["test/accuracy"] == test.accuracy > 0.8


@pytest.mark.parametrize("at", range(1, 12))
@pytest.mark.parametrize("settings", [{}, {"ema_decay": 0.9, "accumulate": 3, "clip_norm": 0.5}], ids=["plain", "all"])
def test_stopped_at_any_step_and_resumed_it_ends_bit_equal_with_the_same_rows(make_trainer, at, settings):
    torch.manual_seed(5)
    unbroken = make_trainer("unbroken", **settings)
    torch.manual_seed(5)
    expected = trained(unbroken)

    torch.manual_seed(5)
    first = make_trainer("broken", **settings)
    torch.manual_seed(5)
    tracker = Rows(at={at: lambda: stop(first)})
    with pytest.raises(Interrupted):
        first.fit(tracker)
    torch.manual_seed(99)
    second = make_trainer("broken", **settings)
    go_on(second)
    second.fit(tracker)

    assert same(unbroken.model.state_dict(), second.model.state_dict())
    assert same(weights_to_evaluate(snapshot(unbroken)), weights_to_evaluate(snapshot(second)))
    assert tracker.untimed() == expected.untimed()
    assert second.best == unbroken.best


def test_a_stop_during_validation_leaves_it_for_the_resumed_run(make_trainer):
    expected = trained(make_trainer("unbroken"))
    first = make_trainer("broken")
    evaluating = first.parts.augment.eval

    def stop_while_validating(images):
        stop(first) if not torch.is_grad_enabled() and first.step == 4 and not first.parts.stop.requested else None
        return evaluating(images)

    first.val_batches = first.parts.data.batches("val", batch_size=4, device=first.device, seed=0, shuffle=False)
    first.parts.augment.eval = stop_while_validating
    tracker = Rows()
    with pytest.raises(Interrupted):
        first.fit(tracker)
    assert not tracker.columns("val/accuracy")
    second = make_trainer("broken")
    go_on(second)
    second.fit(tracker)
    assert [row["step"] for row in tracker.rows] == [row["step"] for row in expected.rows]
    assert tracker.columns("val/accuracy") == expected.columns("val/accuracy")


def test_micro_batches_give_the_gradient_of_the_whole_batch(make_trainer):
    def weights(accumulate):
        from_scratch = make_trainer(f"by-{accumulate}", accumulate=accumulate, epochs=1, model=plain_network())
        trained(from_scratch)
        return torch.cat([p.detach().flatten() for p in from_scratch.model.parameters()])

    whole = weights(1)
    for accumulate in (2, 3, 16):
        assert torch.allclose(weights(accumulate), whole, atol=1e-6)


def plain_network():
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 3))


def test_nothing_in_a_step_waits_for_the_device(make_trainer):
    class NoTransfer(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            assert func is not torch.ops.aten._local_scalar_dense.default
            return func(*args, **(kwargs or {}))

    trainer = make_trainer(optimizer=lambda m: torch.optim.SGD(m.parameters(), lr=0.1), ema_decay=0.5, clip_norm=1.0)
    batches = iter(trainer.train_batches.epoch(0))
    trainer.train_step(*next(batches))
    images, labels = next(batches)
    n_averaged = trainer.ema.n_averaged
    trainer.ema.n_averaged = torch.tensor(1)
    assert n_averaged.device.type == "cpu"
    trainer.ema.update_parameters = lambda model: None  # it reads its own counter, which is on the CPU
    with NoTransfer():
        trainer.train_step(images, labels)
    assert trainer.step == 2


@pytest.mark.parametrize("after", [2, 5])
def test_a_loss_that_is_not_finite_ends_the_run_with_step_rate_and_last_checkpoint(make_trainer, after):
    trainer = make_trainer(save_every="4 steps")

    def exploding(model, images, targets):
        loss = F.cross_entropy(model(images), targets)
        return loss * math.inf if trainer.step + 1 == after else loss

    trainer.accumulation.objective = exploding
    with pytest.raises(VitlabError) as caught:
        trainer.fit(Rows())
    message = str(caught.value)
    assert f"at step {after} (learning rate {0.02 * (1 - (after - 1) / 12):.3g}" in message
    assert ("last.pt (step 4)" if after > 4 else "is none yet") in message
    if after > 4:
        weights = read(trainer.parts.checkpoints.folder / LAST)["model"]
        assert all(w.isfinite().all() for w in weights.values())


def with_a_bad_step(make_trainer, at, folder="run", **settings):
    """A trainer whose loss at some steps is not finite."""
    torch.manual_seed(5)
    trainer = make_trainer(folder, log_every="1 step", **settings)

    def exploding(model, images, targets):
        loss = F.cross_entropy(model(images), targets)
        return loss * math.nan if trainer.step + 1 in at else loss

    trainer.accumulation.objective = exploding
    return trainer


def test_without_any_finite_validation_there_is_nothing_to_test(make_trainer):
    trainer = make_trainer(max_steps=1)
    trainer.optimizer.param_groups[0]["initial_lr"] = 1e30  # the loss of the only step is finite, what it leaves not
    tracker = trained(trainer)
    assert not math.isfinite(tracker.columns("val/loss")[-1])
    assert not (trainer.parts.checkpoints.folder / BEST).exists()
    assert trainer.figures()["val_accuracy"] is None
    with pytest.raises(VitlabError, match="the loss was finite in no validation"):
        trainer.test()


def test_a_bad_step_is_left_out_with_its_reason_and_the_others_count(make_trainer):
    trainer = with_a_bad_step(make_trainer, at=(3, 4), skip_bad_steps=2, ema_decay=0.9)
    weights = {}
    tracker = Rows(at={n: lambda n=n: weights.update({n: copy.deepcopy(trainer.model.state_dict())}) for n in (2, 4)})
    trainer.fit(tracker)
    assert same(weights[2], weights[4])
    assert [row["step"] for row in tracker.rows if "train/loss" in row] == [1, 2, 5, 6, 7, 8, 9, 10, 11, 12]
    assert [said.split(":")[0] for said in tracker.said] == [
        "step 3 is left out, 1 of 2",
        "step 4 is left out, 2 of 2",
    ]
    assert trainer.step == 12
    assert all(w.isfinite().all() for w in trainer.model.state_dict().values())


def test_one_bad_step_more_than_may_be_left_out_ends_the_run(make_trainer):
    trainer = with_a_bad_step(make_trainer, at=(3, 6, 7), skip_bad_steps=2)
    with pytest.raises(VitlabError, match=r"at step 7 .*; 2 such steps were left out before"):
        trainer.fit(Rows())
    assert read(trainer.parts.checkpoints.folder / LAST)["skipped"] == 1  # after step 4


@pytest.mark.parametrize("stop_at", [2, 3, 5])
def test_steps_that_were_left_out_are_counted_across_a_resume(make_trainer, stop_at):
    unbroken = with_a_bad_step(make_trainer, (3, 5), "unbroken", skip_bad_steps=2)
    torch.manual_seed(5)
    expected = trained(unbroken)
    first = with_a_bad_step(make_trainer, (3, 5), "broken", skip_bad_steps=2)
    torch.manual_seed(5)
    tracker = Rows(at={stop_at: lambda: stop(first)})
    with pytest.raises(Interrupted):
        first.fit(tracker)
    second = with_a_bad_step(make_trainer, (3, 5), "broken", skip_bad_steps=2)
    go_on(second)
    second.fit(tracker)
    assert second.skipped == 2
    assert same(unbroken.model.state_dict(), second.model.state_dict())
    assert tracker.untimed() == expected.untimed()
    assert tracker.said == expected.said


def test_validation_save_and_log_come_when_they_are_due(make_trainer):
    trainer = make_trainer(epochs=3, validate_every="5 steps", log_every="0.5 of run", save_every="2 epochs")
    saved = []
    save = trainer.parts.checkpoints.save
    trainer.parts.checkpoints.save = lambda name, state: (saved.append((name, state["step"])), save(name, state))
    tracker = trained(trainer)
    assert [row["step"] for row in tracker.rows if "val/loss" in row] == [5, 10, 12]
    assert [row["step"] for row in tracker.rows if "train/loss" in row] == [6, 12]
    assert [step for name, step in saved if name == LAST] == [8, 12]


def test_the_length_is_max_steps_where_it_is_given(make_trainer):
    trainer = make_trainer(epochs=50, max_steps=6)
    trained(trainer)
    assert trainer.step == 6
    assert trainer.validated_step == 6


def test_a_limit_of_batches_makes_short_epochs(make_trainer):
    trainer = make_trainer(epochs=2, limit_batches=2)
    tracker = trained(trainer)
    assert trainer.step == 4
    assert tracker.rows[-1]["images_seen"] == 64


def test_a_limited_validation_sees_a_draw_of_the_split_and_always_the_same(make_trainer):
    whole, limited, again = make_trainer(), make_trainer(limit_batches=1), make_trainer(limit_batches=1)
    for trainer in (limited, again):
        trainer.val_batches.batch_size = 8
    (first, _), (drawn, _), (same_draw, _) = (next(iter(t.val_batches.epoch(0))) for t in (whole, limited, again))
    assert not torch.equal(drawn[:8], first[:8])
    assert torch.equal(drawn, same_draw)


def test_without_progress_it_stops_after_its_patience(make_trainer):
    trainer = make_trainer(epochs=50, patience="3 epochs", schedule=lambda step, run: 0.0, ema_decay=None)
    tracker = trained(trainer)
    assert trainer.step == 4 + 12
    assert "has not risen since step 4" in tracker.said[0]
    again = make_trainer(epochs=50, patience="3 epochs")
    go_on(again)
    trained(again)
    assert again.step == 16


def test_patience_waits_for_the_first_validation(make_trainer):
    trainer = make_trainer(epochs=3, patience="1 step", validate_every="6 steps", schedule=lambda step, run: 0.0)
    trained(trainer)
    assert trainer.step == 7
    assert trainer.best.step == 6


def test_a_schedule_that_cannot_be_computed_is_refused_before_the_first_step(make_trainer):
    with pytest.raises(ZeroDivisionError):
        make_trainer(schedule=lambda step, run: 1 / 0)


def test_the_average_is_what_is_validated_and_kept_as_best(make_trainer):
    trainer = make_trainer(epochs=1, ema_decay=0.9)
    trained(trainer)
    state = read(trainer.parts.checkpoints.folder / BEST)
    assert not same(state["model"], state["ema"]["model"])
    trainer.test()
    assert same(trainer.model.state_dict(), state["ema"]["model"])


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_trains(make_trainer, precision):
    tracker = trained(make_trainer(epochs=15, precision=precision))
    assert max(tracker.columns("val/accuracy")) > 0.8


@pytest.mark.slow
def test_compiled_weights_load_into_a_plain_model(make_trainer):
    trainer = make_trainer("compiled", epochs=1, compile=True)
    trained(trainer)
    plain = make_trainer("compiled", epochs=1)
    go_on(plain)
    assert same(plain.model.state_dict(), trainer.model.state_dict())


def test_a_length_of_nothing_is_refused(make_trainer):
    with pytest.raises(ValueError, match="trains nothing"):
        make_trainer(epochs=0)

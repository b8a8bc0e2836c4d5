"""The training loop: one plain loop with named parts, to be read from top to bottom."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from torch import Tensor, nn

from vitlab.duration import RunLength, parse
from vitlab.engine.accumulation import Accumulation
from vitlab.engine.best import Best
from vitlab.engine.checkpoint import BEST, LAST, Checkpoints, load_weights, read
from vitlab.engine.contracts import Augment, Batches, Data, Objective, Optimizer, Schedule, StopSignal, Tracker
from vitlab.engine.device import pick_device
from vitlab.engine.diagnosis import reason
from vitlab.engine.distributed import AgreedStop, world
from vitlab.engine.early_patch_drop import EarlyPatchDrop
from vitlab.engine.ema import averaged
from vitlab.engine.evaluate import Evaluation, evaluate
from vitlab.engine.health import IMAGES, Health
from vitlab.engine.pace import Pace
from vitlab.engine.parallel import distribute
from vitlab.engine.precision import Precision
from vitlab.engine.seeding import augmentation_rng, part_ways
from vitlab.engine.shards import whole
from vitlab.engine.snapshot import save, weights_to_evaluate
from vitlab.engine.symptoms import When
from vitlab.engine.window import Figures, Window
from vitlab.errors import VitlabError


@dataclass
class Parts:
    """What a run is made of. ``optimizer`` makes one for a model that lies on its device."""

    model: nn.Module
    data: Data
    augment: Augment
    objective: Objective
    optimizer: Callable[[nn.Module], Optimizer]
    schedule: Schedule
    checkpoints: Checkpoints
    stop: StopSignal


class Trainer:
    """Trains a model, validates it, keeps its checkpoints.

    In each of several processes (``torchrun``) there is one, which trains on its share of every batch; the batch, the
    loss and the gradient are those of one process.

    Args:
        parts: what is trained, on what, and how.
        seed: of the order of the data and of the augmentation.
        epochs: length of the run in passes over the training images.
        max_steps: length in optimizer steps, in place of ``epochs``.
        batch_size: images an optimizer step.
        eval_batch_size: images a batch of validation and test.
        accumulate: micro-batches that a batch is cut into; the gradient is the whole batch's.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        clip_norm: greatest norm of the gradient, or None.
        skip_bad_steps: so many steps may be left out whose loss or gradient is not finite; 0 ends the run at the first.
            Each step then waits for the device to know.
        ema_decay: decay of the averaged weights, which are then what is validated, or None.
        compile: whether ``torch.compile`` compiles the model.
        parallel: what each of several processes has of the model: ``ddp`` a copy, ``fsdp`` a shard.
        validate_every, save_every, log_every: durations with units, ``1 epoch``.
        health_every: how often to look inside the model, or None; see ``vitlab.engine.health``.
        patience: stop after this duration without a better validation accuracy, or None.
        patch_drop_until: the duration after which ``model.patch_drop`` ends, or None for the whole run.
        limit_batches: batches an epoch of each split, or None for all.

    Raises:
        ValueError: a device or precision that is not there, a length that is not positive, or ``patch_drop_until`` of
            a model that drops no patches.
    """

    def __init__(
        self,
        parts: Parts,
        seed: int,
        *,
        epochs: int = 1,
        max_steps: int | None = None,
        batch_size: int = 128,
        eval_batch_size: int = 512,
        accumulate: int = 1,
        device: str = "auto",
        precision: str = "fp32",
        clip_norm: float | None = None,
        skip_bad_steps: int = 0,
        ema_decay: float | None = None,
        compile: bool = False,
        parallel: str = "ddp",
        validate_every: str = "1 epoch",
        save_every: str = "1 epoch",
        log_every: str = "10 steps",
        health_every: str | None = None,
        patience: str | None = None,
        patch_drop_until: str | None = None,
        limit_batches: int | None = None,
    ) -> None:
        self.parts, self.seed, self.world = parts, seed, world()
        self.stop = parts.stop if self.world.size == 1 else AgreedStop(parts.stop, self.world)
        self.clip_norm, self.skip_bad_steps = clip_norm, skip_bad_steps
        self.device = pick_device(device)
        self.precision = Precision(precision, self.device)

        def batches(split: str, size: int, shuffle: bool) -> Any:
            own = {"rank": self.world.rank, "world_size": self.world.size}
            return parts.data.batches(
                split, batch_size=size, device=self.device, seed=seed, shuffle=shuffle, limit=limit_batches, **own
            )

        self.train_batches = batches("train", batch_size, shuffle=True)
        # A part of a split must be a draw from it: folders are sorted, and their first images all of one class.
        draw = limit_batches is not None
        self.val_batches = batches("val", eval_batch_size, shuffle=draw)
        self.test_batches = batches("test", eval_batch_size, shuffle=draw)
        self.batch_size = batch_size
        per_epoch = len(self.train_batches)
        self.length = RunLength(max_steps if max_steps is not None else epochs * per_epoch, per_epoch)
        if self.length.total_steps < 1:
            raise ValueError(f"a run of {self.length.total_steps} steps trains nothing; try epochs=1")
        self.validate_every, self.save_every, self.log_every = (
            max(1, parse(duration).steps(self.length)) for duration in (validate_every, save_every, log_every)
        )
        every = max(1, parse(health_every).steps(self.length)) if health_every is not None else None
        self.health = Health(every, self.world)
        for step in (0, self.length.total_steps - 1):  # a schedule that cannot be computed is refused here, not later
            parts.schedule(step, self.length)
        self.patience = parse(patience).steps(self.length) if patience is not None else None

        self.model = parts.model.to(self.device).train()
        self.early_patch_drop = (
            EarlyPatchDrop(self.model, parse(patch_drop_until).steps(self.length)) if patch_drop_until else None
        )
        self.ema = averaged(self.model, ema_decay) if ema_decay is not None else None
        trained = distribute(
            self.model, self.ema.module if self.ema is not None else None, parallel, self.device, self.world
        )
        self.accumulation = Accumulation(accumulate, trained, parts.objective, self.precision, self.world)
        self.optimizer = parts.optimizer(self.model)
        for group in self.optimizer.param_groups:
            group["initial_lr"] = group["lr"]
        if compile:
            self.model.compile()
        part_ways(seed, self.world.rank)

        self.step = 0  # optimizer steps done
        self.skipped = 0  # of them those that were left out
        self.rows = 0  # rows of figures logged
        self.validated_step = 0  # the last step that was validated
        self.saved_step: int | None = None
        self.best = Best()
        self.pace = Pace()
        self.window = Window(self.device, finite_gradients=precision != "fp16", world=self.world)

    def fit(self, tracker: Tracker) -> None:
        """Train to the end of the run, from wherever it stands.

        Raises:
            VitlabError: the loss is no longer finite, or a checkpoint cannot be written.
            Interrupted: a signal asked for a stop; the checkpoint is saved.
        """
        self.tracker = tracker
        self.pace = Pace(self.pace.seconds)
        self._finish_interrupted_validation()
        for images, labels in self._remaining_batches():
            self.train_step(images, labels)
            tracker.progress(self.step)
            last = self.step == self.length.total_steps
            if last or self.step % self.log_every == 0:
                self._log()
            if self.health.due(self.step):
                self._look(images)
            if last or self.step % self.validate_every == 0:
                self._validate()
            stopping = self.stop.requested
            if last or self.step % self.save_every == 0 or stopping:
                self._save(LAST)
            if stopping:
                self.stop.obey()
            if self._out_of_patience():
                tracker.say(f"val accuracy has not risen since step {self.best.risen_at}: stopped at step {self.step}")
                self._save(LAST)
                break

    def test(self) -> Evaluation:
        """Evaluate the best weights on the test split. Call it once, at the end: it leaves them in the model.

        Raises:
            VitlabError: no validation had a finite loss.
            Interrupted: a signal asked for a stop.
        """
        if self.best.step == 0:
            hint = "a smaller optimizer.lr or trainer.clip_norm=1.0 may help"
            raise VitlabError(
                f"the loss was finite in no validation, so that there are no best weights to test; {hint}"
            )
        path = self.parts.checkpoints.folder / BEST
        load_weights(self.model, weights_to_evaluate(read(path)), path)
        evaluation = self._evaluate(self.model, self.test_batches)
        if evaluation is None:
            self.stop.obey()
        assert evaluation is not None
        self._row({"test/loss": evaluation.loss, "test/accuracy": evaluation.accuracy})
        return evaluation

    def _remaining_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches that are left, from the place in the epoch where the run stands."""
        while self.step < self.length.total_steps and not self._out_of_patience():
            epoch, start = divmod(self.step, self.length.steps_per_epoch)
            yield from islice(self.train_batches.epoch(epoch, start), self.length.total_steps - self.step)

    def train_step(self, images: Tensor, labels: Tensor) -> None:
        """One optimizer step. Nothing here waits for the device, unless bad steps may be left out."""
        rng = augmentation_rng(self.seed, self.step, self.world.rank)
        images, targets = self.parts.augment.train(images, labels, rng)
        factor = self.parts.schedule(self.step, self.length)
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        if self.early_patch_drop is not None:
            self.early_patch_drop.at(self.step)

        count = self._images_in(self.step)
        loss = self.accumulation.gradient(images, targets, count, self.step + 1, self._say)
        grad_norm = whole(self.precision.clip(self.optimizer, self.model.parameters(), self.clip_norm))
        if self.skip_bad_steps and self._is_bad(loss, grad_norm):
            self._leave_out(images)
        else:
            with self.health.stride(self.step + 1, self.model, grad_norm):
                self.precision.step(self.optimizer)
            if self.ema is not None:
                self.ema.update_parameters(self.model)
            self.window.add(self.step + 1, count, loss, grad_norm)
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self.pace.add(count)

    def _is_bad(self, loss: Tensor, grad_norm: Tensor) -> bool:
        """Whether the loss or the gradient of any process is not finite; waits for the device."""
        finite = loss.isfinite() & (grad_norm.isfinite() if self.window.finite_gradients else True)
        return bool(self.world.sum((~finite).long()))

    def _leave_out(self, images: Tensor) -> None:
        """Forget the gradient of this step, and say why it is bad."""
        numbers = self.train_batches.numbers(*divmod(self.step, self.length.steps_per_epoch))
        why = "; ".join(dict.fromkeys(self.world.gather(reason(self.model, images, numbers, self.precision))))
        self.precision.forget()
        self.skipped += 1
        if self.skipped > self.skip_bad_steps:
            raise self._not_finite(self.step + 1, f"{why}; {self.skip_bad_steps} such steps were left out before")
        self._say(f"step {self.step + 1} is left out, {self.skipped} of {self.skip_bad_steps}: {why}")

    def _images_in(self, step: int) -> int:
        """Images of all processes in the batch that comes after so many steps."""
        return int(self.train_batches.images_in(step % self.length.steps_per_epoch))

    def _position(self) -> dict[str, float]:
        """The columns that every row carries."""
        epoch, batch = divmod(self.step, self.length.steps_per_epoch)
        images_an_epoch = self.train_batches.num_images
        seen = epoch * images_an_epoch + min(batch * self.batch_size, images_an_epoch)
        return {
            "step": self.step,
            "epoch": self.step / self.length.steps_per_epoch,
            "images_seen": seen,
            "seconds": self.pace.seconds,
        }

    def _lr(self, key: str) -> float:
        """The greatest learning rate of all groups: those that are scaled are mostly scaled down."""
        return max(float(group[key]) for group in self.optimizer.param_groups)

    def _row(self, figures: Mapping[str, float | str]) -> None:
        self.tracker.log({**self._position(), **figures})
        self.rows += 1

    def _say(self, message: str) -> None:
        self.tracker.say(message)

    def _finite_figures(self) -> Figures:
        """The figures since the last log line, after making sure that they are finite."""
        figures = self.window.read()
        if figures.bad_step is not None:
            hint = "a smaller optimizer.lr or trainer.clip_norm=1.0 may help, trainer.skip_bad_steps=10 says more"
            raise self._not_finite(figures.bad_step, hint)
        return figures

    def _not_finite(self, step: int, more: str) -> VitlabError:
        lr = self._lr("initial_lr") * self.parts.schedule(step - 1, self.length)
        folder = self.parts.checkpoints.folder
        saved = f"{folder / LAST} (step {self.saved_step})" if self.saved_step is not None else "none yet"
        return VitlabError(
            f"the loss or its gradient stopped being finite at step {step} (learning rate {lr:.3g}, epoch "
            f"{step / self.length.steps_per_epoch:.2f}); the last checkpoint before it is {saved}; {more}"
        )

    def _log(self) -> None:
        figures = self._finite_figures()
        if self.window.steps == 0:  # all were left out
            return
        self._row(
            {
                "train/loss": figures.loss,
                "lr": self._lr("lr"),
                "grad_norm": figures.grad_norm,
                "images_per_second": self.pace.lap(),
            }
        )
        self.window.clear()

    def _look(self, images: Tensor) -> None:
        """Log how the model is after a step on ``images``, and say what is wrong with it."""
        when = When(self.step, self.length.total_steps, self.parts.schedule(self.step - 1, self.length))
        mine = self.world.share(min(IMAGES, self._images_in(self.step - 1)))
        few = self.parts.augment.eval(images[: max(1, mine)])
        row = self.health.look(self.model, few, mine, self.precision, when)
        if row:
            self._row(row)
        if "health/warning" in row:
            self._say(f"step {self.step}: {row['health/warning']}")

    def _validate(self) -> None:
        """Validate, and keep the weights if they are the best so far; left for later if a stop comes meanwhile."""
        self._finite_figures()
        model = self.ema.module if self.ema is not None else self.model
        with self.pace.paused():
            evaluation = self._evaluate(model, self.val_batches)
        if evaluation is None:
            return
        self._row({"val/loss": evaluation.loss, "val/accuracy": evaluation.accuracy})
        self.validated_step = self.step
        self.best = self.best.after(evaluation.accuracy, evaluation.loss, self.step)
        if self.best.step == self.step:
            self._save(BEST)

    def _evaluate(self, model: nn.Module, batches: Batches) -> Evaluation | None:
        return evaluate(model, batches, self.parts.augment, self.precision, self.stop, self.world)

    def _finish_interrupted_validation(self) -> None:
        due = self.step % self.validate_every == 0 or self.step == self.length.total_steps
        if self.step > 0 and due and self.validated_step != self.step:
            self._validate()
            self._save(LAST)
            self.stop.obey()

    def _out_of_patience(self) -> bool:
        if self.patience is None or self.best.step == 0:  # before the first validation there is nothing to wait for
            return False
        return self.step - self.best.risen_at >= self.patience

    def _save(self, name: str) -> None:
        self._finite_figures()
        with self.pace.paused():
            save(self, name)
        self.saved_step = self.step

    def figures(self) -> dict[str, Any]:
        """What the summary of a run says of its training so far."""
        validated = self.best.step > 0
        return {
            "val_accuracy": self.best.accuracy if validated else None,
            "val_loss": self.best.loss if validated else None,
            "best_step": self.best.step if validated else None,
            **self._position(),
        }

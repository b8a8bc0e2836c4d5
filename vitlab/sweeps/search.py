"""A search in place of all combinations: Optuna proposes each job from what the earlier ones have reached."""

import math
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import Trial, TrialState

from vitlab.errors import VitlabError
from vitlab.sweeps.combinations import grid_of, is_of_the_sweep, written
from vitlab.sweeps.legality import Legality
from vitlab.sweeps.manifest import Job, Manifest, new_job
from vitlab.sweeps.progress import Progress

_MOST_ILLEGAL = 20  # for each job that is to run: beyond that the space is taken to have nothing legal left
_JOB = "job"  # a trial's attribute that names its job


class Trials:
    """The jobs of a search, each proposed when there is room for it.

    A job that fails or explodes is a failed trial, from which nothing is learned, and the search goes on. What turns
    out illegal costs nothing and is not counted; the sampler takes it for the worst, and learns to stay away.

    Args:
        manifest: of the sweep; proposed jobs are added to it.
        typed: the command line: what is to be searched, and what is the same for all.
        sweep: plain values of ``cfg.sweep``.
        legality: tells which proposals cannot be run.
        n_trials, startup_trials, prune, warmup_validations, seed, storage, study_name: as ``hydra/sweeper=optuna``
            describes them.

    Raises:
        VitlabError: nothing is searched, a range is empty, or the study cannot be opened.
    """

    def __init__(
        self,
        manifest: Manifest,
        typed: Sequence[Override],
        sweep: dict[str, Any],
        legality: Legality,
        *,
        n_trials: int,
        startup_trials: int,
        prune: bool,
        warmup_validations: int,
        seed: int,
        storage: str | None,
        study_name: str,
    ) -> None:
        ours = [override for override in typed if not is_of_the_sweep(override)]
        self._space = space(ours, sweep)
        self._fixed = [str(o.input_line) for o in ours if not o.is_sweep_override()]
        self._manifest, self._legality, self._n_trials, self._prune = manifest, legality, n_trials, prune
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._study = optuna.create_study(
            storage=_storage(storage, manifest.folder),
            study_name=study_name,
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(startup_trials, warmup_validations),
        )
        drawn = seed + len(self._study.get_trials(deepcopy=False))  # a search that goes on draws other numbers
        self._study.sampler = TPESampler(seed=drawn, n_startup_trials=startup_trials, constant_liar=True)
        self._waiting = deque(manifest.by_state("pending", "interrupted"))
        self._trials = self._of_earlier()

    def next(self) -> Job | None:
        """A job that was stopped earlier, or else a new proposal; illegal ones are noted and passed over."""
        if self._waiting:
            return self._waiting.popleft()
        while not self.over():
            job = self._propose()
            if job.state == "pending":
                return job
        return None

    def over(self) -> bool:
        """Whether all trials were given."""
        illegal = len(self._manifest.by_state("illegal"))
        legal = len(self._manifest.jobs) - illegal
        return not self._waiting and (legal >= self._n_trials or illegal >= _MOST_ILLEGAL * self._n_trials)

    def hopeless(self, job: Job, progress: Progress) -> bool:
        """Whether the best validation accuracy so far is below the median of the others after as many validations."""
        trial = self._trials[job.number]
        best = -math.inf
        told = _validations_told(trial)
        for number, (_, accuracy) in enumerate(progress.validations):
            best = max(best, accuracy)
            if number >= told:
                trial.report(best, number)
        return self._prune and bool(progress.validations) and bool(trial.should_prune())

    def ended(self, job: Job, progress: Progress) -> None:
        """Tell the study what a job has reached."""
        trial = self._trials[job.number]
        accuracy = self._manifest.run(job).read_summary().get("val_accuracy")
        if job.state == "done" and accuracy is not None and math.isfinite(accuracy):
            self._study.tell(trial, accuracy)
        elif job.state == "pruned":
            self._study.tell(trial, state=TrialState.PRUNED)
        elif job.state in ("done", "failed"):
            self._study.tell(trial, state=TrialState.FAIL)

    def _propose(self) -> Job:
        trial = self._study.ask(self._space)
        number = len(self._manifest.jobs)
        trial.set_user_attr(_JOB, number)
        own = [f"{key}={_text(self._space[key], value)}" for key, value in trial.params.items()]
        job = new_job(number, [*self._fixed, *own], own)
        job.reason = self._legality.refusal(job.overrides)
        if job.reason is not None:
            job.state = "illegal"
            self._study.tell(trial, state=TrialState.PRUNED)
        self._trials[number] = trial
        self._manifest.jobs.append(job)
        self._manifest.note(job)
        return job

    def _of_earlier(self) -> dict[int, Trial]:
        """The trials of jobs that an earlier launcher began; what they have reached meanwhile is told."""
        unfinished = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        trials = {t.user_attrs[_JOB]: Trial(self._study, t._trial_id) for t in unfinished if _JOB in t.user_attrs}
        for frozen in unfinished:
            if frozen.user_attrs.get(_JOB, math.inf) >= len(self._manifest.jobs):  # killed before it was noted
                self._study.tell(Trial(self._study, frozen._trial_id), state=TrialState.FAIL)
        self._trials = trials
        for job in self._manifest.jobs:
            if job.number in trials and job.state in ("done", "failed", "pruned"):
                self.ended(job, Progress(self._manifest.run(job)))
        return trials


def _validations_told(trial: Trial) -> int:
    """How many validations of its job a trial was told of."""
    return len(trial.storage.get_trial(trial._trial_id).intermediate_values)


def space(typed: Sequence[Override], sweep: dict[str, Any]) -> dict[str, BaseDistribution]:
    """What is searched, by key: lists, ``range(…)``, ``interval(…)``, on a log scale with ``tag(log, …)``.

    Raises:
        VitlabError: there is nothing to search, or it is zipped or listed, which cannot be searched.
    """
    if sweep.get("zip") or sweep.get("jobs"):
        raise VitlabError("hydra/sweeper=optuna searches in lists and ranges, not in sweep.zip and sweep.jobs")
    keys = [override.get_key_element() for override in typed]
    found: dict[str, BaseDistribution] = {
        key: CategoricalDistribution([written(value) for value in values])
        for key, values in grid_of(sweep).items()
        if key not in keys
    }
    for override in typed:
        if override.is_sweep_override():
            try:
                found[override.get_key_element()] = _distribution(override)
            except ValueError as error:
                raise VitlabError(f"{override.input_line} cannot be searched: {error}") from error
    if not found:
        hint = "as in 'model.depth=range(2,9)' or 'optimizer.lr=tag(log,interval(1e-4,1e-2))'"
        raise VitlabError(f"hydra/sweeper=optuna has nothing to search; give it ranges, {hint}")
    return found


def _distribution(override: Override) -> BaseDistribution:
    value: Any = override.value()
    if isinstance(value, ChoiceSweep):
        return CategoricalDistribution([written(choice) for choice in value.list])
    log = "log" in value.tags
    if isinstance(value, RangeSweep):
        start, stop, step = value.start or 0, value.stop, value.step
        if isinstance(start, int) and isinstance(stop, int) and isinstance(step, int):
            return IntDistribution(start, stop - 1, log=log, step=step)
        return FloatDistribution(float(start), float(stop or 0), log=log, step=None if log else float(step))
    assert isinstance(value, IntervalSweep)
    low, high = value.start or 0, value.end or 0
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=log)
    return FloatDistribution(float(low), float(high), log=log)


def _text(distribution: BaseDistribution, value: Any) -> str:
    """``value`` on a command line; the choices of a list were kept as they are written."""
    return value if isinstance(distribution, CategoricalDistribution) else written(value)


def _storage(storage: str | None, folder: Path) -> Any:
    if storage is not None and "://" in storage:
        return storage
    file = Path(storage).expanduser() if storage is not None else folder / "optuna.journal"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFileBackend(str(file)))
    except OSError as error:
        raise VitlabError(f"hydra.sweeper.storage={file} cannot be written: {error.strerror}") from error

import math

import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from vitlab.errors import VitlabError
from vitlab.sweeps.manifest import Manifest, read
from vitlab.sweeps.progress import Progress
from vitlab.sweeps.search import Trials, space

SETTINGS = {
    "n_trials": 12,
    "startup_trials": 4,
    "prune": True,
    "warmup_validations": 1,
    "seed": 0,
    "storage": None,
    "study_name": "vitlab",
}


def parsed(*typed):
    return OverridesParser.create().parse_overrides(list(typed))


class Legal:
    """Refuses what it was told to."""

    def __init__(self, *refused):
        self._refused = refused

    def refusal(self, overrides):
        return next((f"{word} is not so" for word in self._refused if word in overrides), None)


@pytest.fixture
def search(tmp_path):
    def made(*typed, legal=(), manifest=None, **settings):
        manifest = manifest or Manifest(tmp_path / "sweep")
        manifest.save()
        return manifest, Trials(manifest, parsed(*typed), {}, Legal(*legal), **{**SETTINGS, **settings})

    return made


def study(manifest):
    file = optuna.storages.journal.JournalFileBackend(str(manifest.folder / "optuna.journal"))
    return optuna.load_study(study_name="vitlab", storage=optuna.storages.JournalStorage(file))


def end(manifest, trials, leave, job, accuracy, state="done"):
    """As if the job had come to its end."""
    leave(manifest.run(job), status=state, val_accuracy=accuracy)
    job.state = state
    trials.ended(job, Progress(manifest.run(job)))


def test_ranges_and_lists_become_what_optuna_searches():
    typed = (
        "a=range(2,9)",
        "b=interval(0,1)",
        "c=int(interval(1,5))",
        "d=tag(log,interval(1e-4,1e-2))",
        "e=x,3,true",
        "f=1",
    )
    assert space(parsed(*typed), {"grid": {"g": [[1, 2], "p q"], "e": [9]}}) == {
        "a": IntDistribution(2, 8),
        "b": FloatDistribution(0, 1),
        "c": IntDistribution(1, 5),
        "d": FloatDistribution(1e-4, 1e-2, log=True),
        "e": CategoricalDistribution(["x", "3", "true"]),
        "g": CategoricalDistribution(["[1,2]", "p q"]),
    }
    assert space(parsed("a=range(0,10,3)"), {}) == {"a": IntDistribution(0, 9, step=3)}


@pytest.mark.parametrize(
    ("typed", "sweep", "message"),
    [
        (["a=1"], {}, "has nothing to search"),
        (["a=range(4,4)"], {}, "a=range\\(4,4\\) cannot be searched"),
        (["a=1,2"], {"zip": {"b": [1]}}, "not in sweep.zip and sweep.jobs"),
    ],
)
def test_what_cannot_be_searched_is_refused(typed, sweep, message):
    with pytest.raises(VitlabError, match=message):
        space(parsed(*typed), sweep)


def test_a_proposal_is_a_job_with_its_overrides_and_the_manifest_has_it_at_once(search):
    manifest, trials = search("a=1", "b=range(0,100)", "c=x,y", "sweep.illegal=skip")
    job = trials.next()
    assert job.overrides == ["a=1", *job.varied]
    assert [text.split("=")[0] for text in job.varied] == ["b", "c"]
    assert read(manifest.folder).jobs == [job]


def test_the_search_finds_the_best_of_a_simple_space(search, leave):
    manifest, trials = search("x=interval(-1,1)", "kind=good,bad", n_trials=40)
    values = []
    while (job := trials.next()) is not None:
        given = dict(text.split("=") for text in job.overrides)
        accuracy = 1 - float(given["x"]) ** 2 - (0.5 if given["kind"] == "bad" else 0)
        values.append(accuracy)
        end(manifest, trials, leave, job, accuracy)
    assert len(values) == 40
    assert trials.over()
    assert sum(values[-20:]) > sum(values[:20])
    assert max(values) > 0.98
    assert study(manifest).best_value == max(values)


def test_illegal_proposals_cost_no_trial_and_are_avoided(search, leave):
    manifest, trials = search("a=1,2,3", legal=("a=1",), n_trials=30)
    ran = []
    while (job := trials.next()) is not None:
        ran.append(job)
        end(manifest, trials, leave, job, 0.5)
    assert len(ran) == 30
    illegal = manifest.by_state("illegal")
    assert illegal
    assert all(job.reason == "a=1 is not so" for job in illegal)
    assert len(illegal) < 10


def test_a_space_without_a_legal_job_ends(search):
    _, trials = search("a=1,2", legal=("a=1", "a=2"), n_trials=2)
    assert trials.next() is None
    assert trials.over()


@pytest.mark.parametrize(("state", "accuracy"), [("failed", None), ("done", math.nan), ("done", None)])
def test_failure_and_nan_count_as_failed_and_the_search_goes_on(search, leave, state, accuracy):
    manifest, trials = search("a=range(0,9)", n_trials=3)
    end(manifest, trials, leave, trials.next(), accuracy, state)
    assert study(manifest).trials[0].state == TrialState.FAIL
    end(manifest, trials, leave, trials.next(), 0.5)
    assert study(manifest).best_value == 0.5


def test_a_job_below_the_median_of_the_others_is_hopeless_after_the_wait(search, leave):
    manifest, trials = search("a=range(0,99)", startup_trials=2)
    for curve in ([0.3, 0.6, 0.8], [0.4, 0.7, 0.9]):
        job = trials.next()
        progress = Progress(manifest.run(job), validations=list(enumerate(curve)))
        for count in range(1, 4):
            progress.validations = list(enumerate(curve[:count]))
            assert not trials.hopeless(job, progress)
        end(manifest, trials, leave, job, curve[-1])
    job = trials.next()
    progress = Progress(manifest.run(job), validations=[(1, 0.1)])
    assert not trials.hopeless(job, progress)  # one validation is waited for
    progress.validations.append((2, 0.2))
    assert trials.hopeless(job, progress)
    good = trials.next()
    assert not trials.hopeless(good, Progress(manifest.run(good), validations=[(1, 0.5), (2, 0.8)]))
    _, patient = search("a=range(0,99)", manifest=manifest, prune=False)
    assert not patient.hopeless(job, progress) if job.number in patient._trials else True


def test_a_search_goes_on_with_its_study_and_its_stopped_jobs(search, leave):
    manifest, trials = search("a=range(0,99)", n_trials=4)
    done, stopped, unseen = trials.next(), trials.next(), trials.next()
    end(manifest, trials, leave, done, 0.7)
    leave(manifest.run(unseen), status="done", val_accuracy=0.9)  # it ended when no launcher was there to see
    stopped.state, unseen.state = "pending", "done"
    manifest.save()
    again, trials = search("a=range(0,99)", n_trials=4, manifest=read(manifest.folder))
    assert study(manifest).best_value == 0.9
    job = trials.next()
    assert job.number == stopped.number
    end(again, trials, leave, job, 0.8)
    assert trials.next().number == 3
    assert trials.next() is None
    assert [t.value for t in study(manifest).trials[:3]] == [0.7, 0.8, 0.9]


def test_another_seed_draws_other_jobs_and_the_same_the_same(search, tmp_path):
    first = [
        search("a=range(0,10000)", manifest=Manifest(tmp_path / name), seed=seed)[1].next().varied
        for name, seed in (("x", 0), ("y", 0), ("z", 1))
    ]
    assert first[0] == first[1] != first[2]

import pytest

pytestmark = pytest.mark.slow  # sweeps of real runs, in processes of their own

SEARCH = ("-m", "hydra/sweeper=optuna", "hydra.sweeper.startup_trials=2", "hydra.sweeper.warmup_validations=1")


def test_a_search_runs_its_trials_and_goes_on_with_more(command, quick, sweeps, jobs_of):
    space = ("optimizer.lr=tag(log,interval(1e-4,1e-1))", "model.depth=1,2", "trainer.max_steps=20", *quick[1:])
    done = command("train", *SEARCH, *space, "hydra.sweeper.n_trials=3")
    assert done.returncode == 0, done.stderr
    (folder,) = sweeps()
    assert len(jobs_of(folder)) == 3
    assert (folder / "optuna.journal").exists()
    assert all(job["state"] in ("done", "pruned") for job in jobs_of(folder))

    forgotten = command("train", f"sweep.resume={folder}")
    assert forgotten.returncode == 1
    assert "is a search; add what it was begun with: hydra/sweeper=optuna" in forgotten.stderr
    assert "hydra.sweeper.n_trials=3 'optimizer.lr=tag(log,interval(1e-4,1e-1))' model.depth=1,2" in forgotten.stderr
    other = command("train", *SEARCH, "model.depth=1,3", *quick[1:], f"sweep.resume={folder}")
    assert "is another search: it was optimizer.lr=tag" in other.stderr
    more = command("train", *SEARCH, *space, "hydra.sweeper.n_trials=4", f"sweep.resume={folder}")
    assert more.returncode == 0, more.stderr
    assert len(jobs_of(folder)) == 4
    assert jobs_of(folder)[3]["state"] in ("done", "pruned")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model.depth=1"], "has nothing to search"),
        (["model.depth=1,2", "sweep.plan=true"], "it has no plan"),
        (["model.depth=1,2", "sweep.retry=maybe"], "sweep.retry=maybe is neither true nor false"),
        (["model.depth=1,2", "hydra.sweeper.n_trials=0"], "hydra.sweeper.n_trials=0 is no whole number from 1 up"),
        (["model.depth=1,2", "hydra/launcher=basic"], "runs with hydra/launcher=local, slurm or ray"),
        (["model.depth=1,2", "+hydra.sweeper.samples=3"], "hydra/sweeper=optuna: "),
        (["model.depth=1,2", "+hydra.launcher.at_ones=3"], "hydra/launcher=local: "),
    ],
)
def test_a_search_that_cannot_be_is_refused(command, arguments, message):
    refused = command("train", *SEARCH, *arguments)
    assert refused.returncode == 1
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr

"""A sweep's folder as tests look at it."""

import json

import pytest

from vitlab.sweeps.manifest import Manifest, new_job


@pytest.fixture
def sweeps(tmp_path):
    """``sweeps()``: the folders of the sweeps that commands have left in the empty folder."""
    return lambda: sorted(path.parent for path in (tmp_path / "multirun").glob("*/*/sweep.json"))


@pytest.fixture
def jobs_of():
    """``jobs_of(folder)``: the entries of its manifest."""
    return lambda folder: json.loads((folder / "sweep.json").read_text())["jobs"]


@pytest.fixture
def manifest(tmp_path):
    """Three jobs of different depth in an empty folder."""
    own = [[f"model.depth={depth}"] for depth in (1, 2, 3)]
    jobs = [new_job(number, ["tracker=none", *varied], varied) for number, varied in enumerate(own)]
    return Manifest(tmp_path / "sweep", jobs)


@pytest.fixture
def leave():
    """``leave(run, status="done", ...)``: what a run of that kind leaves in its folder."""

    def written(run, rows=(), config=True, **summary):
        run.path.mkdir(parents=True, exist_ok=True)
        run.summary.write_text(json.dumps(summary))
        (run.path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        if config:
            run.config.write_text("seed: 0\n")

    return written

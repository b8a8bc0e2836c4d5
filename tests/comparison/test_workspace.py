import json

import pytest
from wandb_server import KEY, WandbServer

from vitlab.comparison.workspace import save_workspace, workspace
from vitlab.errors import VitlabError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of wandb-workspaces


def test_the_workspace_shows_these_runs_and_no_others(sweep):
    comparison = sweep({(4, 2): [0.5], (8, 2): [0.6]})
    model = workspace(comparison, "me", "lab", ["abc", "def"])._to_model()
    told = model.model_dump_json()
    assert '"value":["abc","def"]' in told
    for word in ("val/accuracy", "model.value.depth", "val_accuracy", "flops_per_image", "2 runs by val_accuracy"):
        assert word in told


def test_runs_that_w_and_b_never_had_are_refused(sweep):
    with pytest.raises(VitlabError, match="these runs were never sent to W&B"):
        save_workspace(sweep({(4, 2): [0.5]}))


def test_runs_of_several_projects_are_refused(make_run, tmp_path):
    from vitlab.comparison.comparing import compare
    from vitlab.comparison.loading import load

    for name in ("x", "y"):
        (make_run(name, 0.5, **{"tracker.project": name}) / "wandb_id.txt").write_text(name)
    with pytest.raises(VitlabError, match="are of several projects: "):
        save_workspace(compare(load([tmp_path])))


def test_without_a_key_it_says_so(sweep):
    comparison = sweep({(4, 2): [0.5]})
    (comparison.runs[0].path / "wandb_id.txt").write_text("abc")
    with pytest.raises(VitlabError, match="--wandb: "):
        save_workspace(comparison)


def test_it_is_saved_at_the_server_and_its_address_is_told(sweep, monkeypatch):
    comparison = sweep({(4, 2): [0.5], (8, 2): [0.6]})
    for run in comparison.runs:
        (run.path / "wandb_id.txt").write_text(run.name)
    with WandbServer() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        assert save_workspace(comparison).startswith(f"{server.url}/me/vitlab?nw=")
        (view,) = server.views
    assert view["displayName"] == "vitlab: 2 runs by val_accuracy"
    assert "model.value.depth" in json.dumps(json.loads(view["spec"]))

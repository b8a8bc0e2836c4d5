"""The same view at W&B: a saved workspace of the compared runs, by wandb-workspaces."""

from typing import TYPE_CHECKING, Any

from vitlab.comparison.comparing import Comparison
from vitlab.comparison.loading import Run
from vitlab.comparison.pareto import COSTS
from vitlab.errors import VitlabError

if TYPE_CHECKING:
    from wandb_workspaces.workspaces import Workspace

_CURVES = ("val/accuracy", "val/loss", "train/loss")


def save_workspace(comparison: Comparison) -> str:
    """Save a workspace with the runs of ``comparison`` alone; the runs themselves are left as they are.

    Returns:
        Its address.

    Raises:
        VitlabError: wandb-workspaces or a key is missing, the runs are of several projects or were never sent to W&B,
            or the server refuses.
    """
    import wandb

    workspace_of = _import()
    project, ids = _project(comparison), [_run_id(run) for run in comparison.runs]
    try:
        entity = comparison.runs[0].config.get("tracker.entity") or wandb.Api().default_entity
        if not entity:
            raise VitlabError("--wandb: W&B has no key; `wandb login` stores one")
        workspace = workspace_of(comparison, entity, project, [run_id for run_id in ids if run_id])
        workspace.save()
    except VitlabError:
        raise
    except Exception as error:  # of several kinds: no key, no network, a refusal
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise VitlabError(f"--wandb: the workspace cannot be saved: {reason}") from error
    return str(workspace.url)


def workspace(comparison: Comparison, entity: str, project: str, ids: list[str]) -> "Workspace":
    """The workspace, not yet saved: curves, what each setting does, parallel coordinates, accuracy against cost."""
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    config = [wr.Config(key.name.replace("/", ".")) for key in comparison.keys if "/" not in key.name]
    metric: Any = wr.SummaryMetric(comparison.metric)
    columns = [wr.ParallelCoordinatesPlotColumn(metric=each) for each in [*config, metric]]
    return ws.Workspace(
        entity=entity,
        project=project,
        name=f"vitlab: {len(comparison.runs)} runs by {comparison.metric}",
        sections=[
            ws.Section("Learning curves", [wr.LinePlot(x="epoch", y=[name]) for name in _CURVES], is_open=True),
            ws.Section(
                "What the settings do",
                [
                    wr.ParallelCoordinatesPlot(columns=columns),
                    *(wr.ScatterPlot(x=each, y=metric) for each in config),
                ],
                is_open=True,
            ),
            ws.Section("What it costs", [wr.ScatterPlot(x=wr.SummaryMetric(cost), y=metric) for cost in COSTS]),
        ],
        runset_settings=ws.RunsetSettings(
            filters=[ws.Metric("ID").isin(ids)],
            order=[ws.Ordering(ws.Summary(comparison.metric), ascending=comparison.sign < 0)],
        ),
    )


def _import() -> Any:
    try:
        import wandb_workspaces.workspaces  # noqa: F401
    except ImportError as error:
        raise VitlabError("--wandb needs wandb-workspaces: pip install 'vitlab[report]'") from error
    return workspace


def _project(comparison: Comparison) -> str:
    projects = {run.config.get("tracker.project") for run in comparison.runs if _run_id(run) is not None}
    if len(projects) != 1 or None in projects:
        told = f"are of several projects: {', '.join(map(str, projects))}" if projects else "were never sent to W&B"
        raise VitlabError(f"--wandb: these runs {told}")
    return str(projects.pop())


def _run_id(run: Run) -> str | None:
    file = run.path / "wandb_id.txt"
    return file.read_text().strip() if file.is_file() else None

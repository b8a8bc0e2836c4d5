"""``python -m vitlab.evaluate``: the figures of a finished run, from nothing but its folder."""

from omegaconf import DictConfig

from vitlab import provenance
from vitlab.config import saved
from vitlab.config.build import build, refusals_of
from vitlab.config.command import run_command
from vitlab.config.rules import refuse_illegal, whole_number
from vitlab.errors import VitlabError
from vitlab.runs import open_run, write_json

_SPLITS, _CHECKPOINTS = ("train", "val", "test"), ("best", "last")


def main() -> None:
    """The command line."""
    run_command(evaluate, "evaluate")


def evaluate(cfg: DictConfig) -> float:
    """Evaluate a checkpoint of a run on one split, print the figures and keep them in ``evaluation.json``.

    Returns:
        The accuracy, a fraction.

    Raises:
        VitlabError: there is no such run, checkpoint or split, or its data are not to be had.
    """
    for key, legal in (("split", _SPLITS), ("checkpoint", _CHECKPOINTS)):
        if cfg[key] not in legal:
            raise VitlabError(f"{key}={cfg[key]} is not one of {', '.join(legal)}")
    whole_number(cfg, "batch_size", 1)
    if cfg.run is None:
        raise VitlabError("run= is missing: it names the folder of a run, as in run=outputs/DATE/TIME")
    run = open_run("run", cfg.run)
    settings = saved.load(run)
    if cfg.data_root is not None:
        settings.data.root = cfg.data_root
    refuse_illegal(settings, [])

    from vitlab.engine.checkpoint import load_weights, read
    from vitlab.engine.device import pick_device
    from vitlab.engine.evaluate import evaluate as evaluate_model
    from vitlab.engine.precision import Precision
    from vitlab.engine.snapshot import weights_to_evaluate
    from vitlab.engine.stop import GracefulStop

    with refusals_of("device"):
        device = pick_device(cfg.device)
    path = run.checkpoints / f"{cfg.checkpoint}.pt"
    state = read(path)
    data = build(settings, "data", cfg.allow_targets)
    provenance.refuse_other_data(run, data.hashes())
    model = build(saved.from_checkpoint(settings), "model", cfg.allow_targets)
    load_weights(model, weights_to_evaluate(state), path)
    augment = build(settings, "augment", cfg.allow_targets)
    batches = data.batches(cfg.split, batch_size=cfg.batch_size, device=device, seed=settings.seed, shuffle=False)
    precision = Precision(settings.trainer.precision, device)
    with GracefulStop() as stop, stop.at_once():
        found = evaluate_model(model.to(device), batches, augment, precision, stop)
    assert found is not None
    write_json(
        run.path / "evaluation.json",
        {
            "split": cfg.split,
            "checkpoint": cfg.checkpoint,
            "step": state["step"],
            "accuracy": found.accuracy,
            "loss": found.loss,
            "images": found.images,
        },
    )
    print(
        f"{cfg.split}: accuracy {found.accuracy:.2%}, loss {found.loss:.4f} on {found.images:,} images, "
        f"with the weights of step {state['step']} ({path.name})"
    )
    return found.accuracy


if __name__ == "__main__":
    main()

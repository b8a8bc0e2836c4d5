"""A run with its trained model, from nothing but its folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from vitlab import provenance
from vitlab.config import saved
from vitlab.config.build import build
from vitlab.config.rules import refuse_illegal
from vitlab.errors import VitlabError
from vitlab.runs import RunFolder, open_run

if TYPE_CHECKING:  # torch is imported only once there is something to load
    import torch

CHECKPOINTS = ("best", "last")


@dataclass(frozen=True)
class Trained:
    """A run and its model.

    Args:
        run: its folder.
        settings: its config, with nothing left to resolve.
        model: on the CPU, in eval mode, with the averaged weights where the run averages them.
        step: after which these weights were saved.
    """

    run: RunFolder
    settings: DictConfig
    model: "torch.nn.Module"
    step: int

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the logits; their numbers where nothing tells their names."""
        known = provenance.class_names(self.run)
        count = self.settings.model.get("num_classes") or self.settings.data.get("num_classes") or 0
        return *known, *(str(number) for number in range(len(known), count))


def choose(cfg: DictConfig) -> RunFolder:
    """The run that ``run=`` names; ``checkpoint=`` must be one that there is.

    Raises:
        VitlabError: there is no such run, or no such checkpoint can be meant.
    """
    if cfg.checkpoint not in CHECKPOINTS:
        raise VitlabError(f"checkpoint={cfg.checkpoint} is not one of {', '.join(CHECKPOINTS)}")
    if cfg.run is None:
        raise VitlabError("run= is missing: it names the folder of a run, as in run=outputs/DATE/TIME")
    return open_run("run", cfg.run)


def load_trained(run: RunFolder, checkpoint: str, allow_targets: Sequence[str]) -> Trained:
    """Build the model of ``run`` and give it the weights of a checkpoint.

    Args:
        run: its folder.
        checkpoint: ``best`` or ``last``.
        allow_targets: packages of the user's own that its config may name.

    Raises:
        VitlabError: the config or the checkpoint cannot be read, is refused, or they do not fit each other.
    """
    settings = saved.load_whole(run)
    refuse_illegal(settings, [])

    from vitlab.engine.checkpoint import load_weights, read
    from vitlab.engine.snapshot import weights_to_evaluate

    path = run.checkpoints / f"{checkpoint}.pt"
    state = read(path)
    model: Any = build(saved.from_checkpoint(settings), "model", allow_targets)
    load_weights(model, weights_to_evaluate(state), path)
    if not all(bool(weights.isfinite().all()) for weights in model.state_dict().values()):
        raise VitlabError(f"{path} holds weights that are not finite")
    return Trained(run, settings, model.eval(), state["step"])

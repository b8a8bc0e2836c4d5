"""Loss and accuracy of a model on one split."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from vitlab.engine.contracts import Augment, Batches, StopSignal
from vitlab.engine.distributed import ALONE, World
from vitlab.engine.precision import Precision


@dataclass(frozen=True)
class Evaluation:
    """Figures of one split: mean cross-entropy (nats), accuracy (a fraction), and number of images."""

    loss: float
    accuracy: float
    images: int


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    batches: Batches,
    augment: Augment,
    precision: Precision,
    stop: StopSignal,
    world: World = ALONE,
) -> Evaluation | None:
    """Evaluate ``model`` in eval mode on all of ``batches``; every image counts once, also in the last odd batch.

    Of several processes each evaluates its share, and all get the figures of the whole. The sums stay on the device
    until the end. The model is left in the mode in which it came.

    Returns:
        The figures, or None if the run was asked to stop meanwhile.
    """
    was_training = model.training
    model.eval()
    sums = torch.zeros(2, dtype=torch.float32, device=precision.device)
    images_seen = 0
    stopped = False
    for number, (images, labels) in enumerate(batches.epoch(0)):
        stopped = stop.requested
        if stopped:
            break
        with precision.autocast():
            logits = model(augment.eval(images)).float()  # [B, K]
        of_batch = batches.images_in(number)
        mine = world.share(of_batch)
        logits, labels = logits[:mine], labels[:mine]
        loss = F.cross_entropy(logits, labels, reduction="sum")
        sums += torch.stack([loss, (logits.argmax(dim=1) == labels).sum()])
        images_seen += of_batch
    model.train(was_training)
    if stopped or stop.requested:
        return None
    loss_sum, correct = world.sum(sums).tolist()
    return Evaluation(loss_sum / images_seen, correct / images_seen, images_seen)

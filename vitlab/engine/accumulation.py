"""The gradient of a batch, added up from as many pieces as memory asks for."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vitlab.engine.contracts import Objective
from vitlab.engine.distributed import World
from vitlab.engine.memory import free, is_out_of_memory
from vitlab.engine.parallel import meeting
from vitlab.engine.precision import Precision
from vitlab.engine.seeding import generator_state, set_generator_state
from vitlab.errors import VitlabError, first_line


class Accumulation:
    """Cuts a batch into micro-batches; the gradient is the whole batch's.

    Args:
        pieces: micro-batches that a batch is cut into; where memory does not hold one, more from there on.
        model: what is trained, as ``distribute`` gives it.
        objective: makes the loss.
        precision: in which it is computed.
        world: the processes, each of which has its share of the batch.
    """

    def __init__(self, pieces: int, model: nn.Module, objective: Objective, precision: Precision, world: World) -> None:
        self.pieces, self.model, self.objective = pieces, model, objective
        self.precision, self.world = precision, world

    def gradient(self, images: Tensor, targets: Tensor, count: int, step: int, say: Callable[[str], None]) -> Tensor:
        """Add up the gradient of one batch; where memory does not hold a piece, anew with smaller ones.

        Args:
            images: this process's share of the batch, [B, C, H, W].
            targets: theirs, as the objective takes them.
            count: images in the batch of all processes.
            step: the number of the step, for messages.
            say: takes one sentence for the user.

        Returns:
            This process's part of the mean loss over all ``count`` images.

        Raises:
            VitlabError: memory does not hold even one image, or one of several processes has too little.
        """
        while True:
            generators = generator_state()
            try:
                return self._added_up(images, targets, count)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                self._halve(len(images), error, step, say)
            self.model.zero_grad()  # out here, where the error no longer holds its tensors
            free(images.device)
            set_generator_state(generators)

    def _added_up(self, images: Tensor, targets: Tensor, count: int) -> Tensor:
        # The gradients of the processes are averaged, and that must be the mean over all images.
        weight = self.world.size * self.world.share(count) / count
        pieces = min(self.pieces, max(1, count // self.world.size))
        loss = torch.zeros((), device=images.device)
        micro_batches = zip(images.tensor_split(pieces), targets.tensor_split(pieces), strict=True)
        for number, (micro_images, micro_targets) in enumerate(micro_batches, start=1):
            share = weight * len(micro_images) / len(images)
            with meeting(self.model, now=number == pieces):
                with self.precision.autocast():
                    micro_loss = self.objective(self.model, micro_images, micro_targets) * share
                self.precision.backward(micro_loss)
            loss += micro_loss.detach()
        return loss

    def _halve(self, images: int, error: RuntimeError, step: int, say: Callable[[str], None]) -> None:
        """Cut a batch into twice as many micro-batches from here on."""
        if self.pieces >= images or self.world.size > 1:
            size = max(1, images // self.pieces)
            raise VitlabError(
                f"memory does not hold a micro-batch of {size} images at step {step}"
                f" ({first_line(error)}); try trainer.accumulate={min(images, 2 * self.pieces)}, "
                "model.grad_checkpointing=true or a smaller model"
            ) from error
        self.pieces = min(images, 2 * self.pieces)
        say(f"step {step} did not fit into memory: once more with trainer.accumulate={self.pieces}")

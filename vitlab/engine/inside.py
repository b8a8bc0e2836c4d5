"""What goes on inside a model while it looks at a few images: its attention, its heads, its tokens, its answers.

Shapes: B images, T tokens, D width, H heads, K width of a head, C classes.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from vitlab.engine.contracts import Attending
from vitlab.engine.distributed import ALONE, World
from vitlab.engine.precision import Precision
from vitlab.engine.regions import blocks, region
from vitlab.engine.seeding import generator_state, set_generator_state

_MOST_SCORES = 2**24  # of one head: with more tokens than 1,448 fewer images are looked at

_FEWEST = 4  # images whose answers are worth comparing

Figures = dict[str, list[float]]
"""By name, ``block03/attention_entropy`` say: a number for each head, or a single one."""


@torch.no_grad()
def look(model: nn.Module, images: Tensor, counted: int, precision: Precision, world: World = ALONE) -> Figures:
    """Figures of what ``model`` does with ``images`` in eval mode; the model and the generators are left as they were.

    - ``attention_entropy`` [H]: of the weights of a token, in units of the greatest possible, ``log`` of the number of
      tokens that it may look at: 1 where it looks at all alike, 0 where it looks at one.
    - ``largest_logit`` [1]: the largest number that went into a softmax of the weights, if there is one.
    - ``head_power`` [H]: mean square of what each head gives to a token.
    - ``token_similarity`` [1]: mean cosine between two tokens of an image, behind the block.
    - ``answer_spread`` [1]: how far apart the class probabilities of the images lie: half the mean distance (L1) from
      their mean, from 0 where all images get the same answer; of four images at least.
    - ``answer_confidence`` [1]: mean probability of the likeliest class.

    What a model does not have is left out.

    Args:
        model: maps images to anything; its attentions are looked into where they have what ``Attending`` has.
        images: [B, C, S, S], normalised.
        counted: so many of them count; those of several processes together are what is looked at.
        precision: how it computes.
        world: the processes, which call it together.
    """
    watch = _Watch(model)
    with _left_alone(model), watch, precision.autocast():
        answers = model(images)
    for name, figure in _answers(answers, counted, world).items():
        watch.keep(name, figure)
    return _together(watch.figures, counted, world)


class _Watch(AbstractContextManager["_Watch"]):
    """Hooks on the blocks and attentions of a model, which work out the figures as the tokens come by."""

    def __init__(self, model: nn.Module) -> None:
        self.figures: dict[str, list[Tensor]] = {}
        self._model = model
        self._handles: list[torch.utils.hooks.RemovableHandle] = []

    def __enter__(self) -> "_Watch":
        parts = blocks(self._model)
        for path, module in self._model.named_modules():
            if path in parts:
                self._handles.append(module.register_forward_hook(self._tokens(region(path, parts))))
            if hasattr(module, "forward_with_weights"):
                name = region(path, parts)
                self._handles.append(module.register_forward_hook(self._attention(name), with_kwargs=True))
        return self

    def __exit__(self, *error: object) -> None:
        for handle in self._handles:
            handle.remove()

    def keep(self, name: str, figure: Tensor | None) -> None:
        """Remember a figure; those of several attentions in one block are told one behind the other."""
        if figure is not None:
            self.figures.setdefault(name, []).append(figure.float().reshape(-1))

    def _tokens(self, name: str) -> Callable[..., None]:
        def see(_: nn.Module, taken: tuple[Any, ...], tokens: Any) -> None:
            if isinstance(tokens, Tensor) and tokens.ndim == 3 and tokens.shape[1] > 1:
                self.keep(f"{name}/token_similarity", similarity(tokens))

        return see

    def _attention(self, name: str) -> Callable[..., None]:
        def see(module: Attending, taken: tuple[Any, ...], named: Mapping[str, Any], _: Any) -> None:
            tokens, *rest = taken
            if not any(isinstance(argument, Tensor) for argument in (*rest, *named.values())):
                tokens = tokens[: max(1, _MOST_SCORES // tokens.shape[1] ** 2)]
            with _Softmax() as softmax, _merged(cast(nn.Module, module)) as merged:
                _, weights = module.forward_with_weights(tokens, *rest, **named)  # [B, H, T, T]
            scores = next((scores for scores in softmax.taken if scores.shape == weights.shape), None)
            self.keep(f"{name}/attention_entropy", entropy(weights, scores))
            self.keep(f"{name}/largest_logit", None if scores is None else scores.max())
            self.keep(f"{name}/head_power", _head_powers(module, merged, weights.shape[1]))

        return see


class _Softmax(TorchFunctionMode):
    """Keeps what goes into each softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[Tensor] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__name__", "") == "softmax":
            self.taken.append(args[0])
        return func(*args, **(kwargs or {}))


@contextmanager
def _merged(attention: nn.Module) -> Iterator[list[Tensor]]:
    """What reaches the last layer of ``attention``: its heads side by side, [B, T, H K]."""
    seen: list[Tensor] = []
    last = getattr(attention, "proj", None)
    if not isinstance(last, nn.Linear):
        yield seen
        return
    handle = last.register_forward_pre_hook(lambda _, taken: seen.append(taken[0]))
    try:
        yield seen
    finally:
        handle.remove()


def _head_powers(attention: Any, merged: list[Tensor], num_heads: int) -> Tensor | None:
    """Mean over images and tokens of the square of what each head gives to a token: [H]."""
    if not merged or merged[-1].shape[-1] % num_heads:
        return None
    batch, count, width = merged[-1].shape
    heads = merged[-1].float().view(batch, count, num_heads, -1)  # [B, T, H, K]
    of_head = attention.proj.weight.float().view(-1, num_heads, width // num_heads).transpose(0, 1)  # [H, D, K]
    products = of_head.transpose(1, 2) @ of_head  # [H, K, K], so that no [B, T, H, D] is needed
    squares = torch.einsum("bthk,hkl,bthl->h", heads, products, heads)
    return squares.clamp(min=0) / (batch * count)


def entropy(weights: Tensor, scores: Tensor | None = None) -> Tensor:
    """Mean entropy of the weights [B, H, T, T] of a token, for each head [H], in units of the greatest possible.

    Args:
        weights: rows that sum to one; those of tokens that may look at one or none do not count.
        scores: what the weights were made of, ``-inf`` where a token may not look; None if it may look everywhere.
    """
    shares = weights.float().clamp(min=0)
    shares = shares / shares.sum(dim=-1, keepdim=True).clamp(min=1e-12)
    entropies: Tensor = torch.special.entr(shares).sum(dim=-1)  # [B, H, T]
    if scores is None:
        return (entropies / math.log(max(2, weights.shape[-1]))).mean(dim=(0, 2))
    visible = scores.isfinite().sum(dim=-1)  # [B, H, T]
    counts = visible > 1
    entropies = torch.where(counts, entropies / visible.clamp(min=2).log(), 0)
    return entropies.sum(dim=(0, 2)) / counts.sum(dim=(0, 2)).clamp(min=1)


def similarity(tokens: Tensor) -> Tensor:
    """Mean cosine between two different tokens of an image, of all images: [B, T, D] to a number."""
    directions = F.normalize(tokens.float(), dim=-1)
    count = tokens.shape[1]
    sums: Tensor = directions.sum(dim=1).square().sum(dim=-1)  # [B], of all pairs, those of a token with itself too
    return ((sums - count) / (count * (count - 1))).mean()


def _answers(answers: Any, counted: int, world: World) -> dict[str, Tensor]:
    """How the class probabilities [B, C] of the images of all processes differ, and how sure they are."""
    if not isinstance(answers, Tensor) or answers.ndim != 2 or answers.shape[1] < 2:
        return {}
    shares = answers[:counted].float().softmax(dim=-1)
    total = world.sum(torch.cat([shares.sum(dim=0), shares.new_full((1,), counted)]))
    images, mean = total[-1], total[:-1] / total[-1]
    spread = (shares - mean).abs().sum() / 2 / max(1, counted)
    confidence = shares.amax(dim=-1).sum() / max(1, counted)
    return {"answer_spread": torch.where(images >= _FEWEST, spread, math.nan), "answer_confidence": confidence}


def _together(figures: dict[str, list[Tensor]], counted: int, world: World) -> Figures:
    """``figures`` as plain numbers, in one transfer, over the images of all processes."""
    joined = {name: torch.cat(parts) for name, parts in figures.items()}
    numbers = torch.cat(list(joined.values())).tolist() if joined else []
    of_all = [(numbers, own) for numbers, own in world.gather((numbers, counted)) if own]
    total, result, at = sum(own for _, own in of_all), {}, 0
    for name, figure in joined.items():
        columns = [[one[at + i] for one, _ in of_all] for i in range(len(figure))]
        if name.endswith("/largest_logit"):
            result[name] = [max(max(column) for column in columns)]
        else:
            result[name] = [
                sum(value * own for value, (_, own) in zip(column, of_all, strict=True)) / total for column in columns
            ]
        at += len(figure)
    return result


@contextmanager
def _left_alone(model: nn.Module) -> Iterator[None]:
    """In eval mode and uncompiled; then every module is in the mode in which it came, and so are the generators."""
    training = [module for module in model.modules() if module.training]
    generators = generator_state()
    model.eval()
    compiled = getattr(model, "_compiled_call_impl", None) is not None
    try:
        with torch.compiler.set_stance("force_eager") if compiled else nullcontext():
            yield
    finally:
        for module in training:
            module.training = True
        set_generator_state(generators)

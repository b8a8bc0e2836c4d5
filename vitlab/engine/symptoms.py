"""What is wrong with a model in training, as far as its figures tell: one sentence with the likely cause and a remedy.

The thresholds are far from what healthy runs show (``docs/health.md`` has their ranges), so that a warning is rare and
worth reading.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

_MOST_LOGIT = 88.0
"""e^-88 is no longer a normal float32: a token that scores so much less than another gets no weight and no gradient.

Dehghani et al. 2023 ("Scaling ViT to 22 billion parameters", section 3) saw the logits of ViTs that diverged grow past
all bounds; those of healthy small runs stay below 20.
"""
_LEAST_ENTROPY = 0.05
"""Of the greatest possible: fewer than 1.2 of 17 tokens, 1.3 of 197, are looked at. Zhai et al. 2023, "Stabilizing
transformer training by preventing attention entropy collapse", tie this state to divergence."""
_DEAD_HEAD = 1e-4
"""Of the power of the mean head of its block, a hundredth of its size. Michel et al. 2019 ("Are sixteen heads really
better than one?") find that such heads can be taken out; healthy small runs have none below 5e-3."""
_UNIFORM = 0.9999
"""Entropy of every head of a model in which nothing looks anywhere in particular; an average of all tokens does as
much. So are models at their start; a third of the run later some head has made a choice."""
_MOST_STRIDE, _LEAST_STRIDE = 0.1, 1e-5
"""A hundred times more, and less, than the 1e-3 of the rule of thumb (Karpathy 2015, CS231n notes, "Ratio of
weights:updates"). Healthy runs show 1e-3 to 1e-2 at the full rate."""
_LEAST_RATE = 0.01  # of the greatest of the run: below it a step may be as small as it likes
_ALIKE = 0.99
"""Cosine of 8 degrees between any two tokens of an image. Dong et al. 2021, "Attention is not all you need": attention
alone makes all tokens one, the branches around it and the MLP keep them apart."""
_VANISHED = 1e-3
"""Norm of the gradient of the first block in units of the largest of any block; in healthy runs it is above 0.1."""
_SAME_ANSWER = 0.01
"""Half the L1 distance between class probabilities: of a hundred images all but one would get the same answer."""
_TELLS_APART = 0.3  # a model whose answers lie so far apart learns, whatever else is small
_SURE = 0.9  # more than a model that has learned nothing can be, unless nine images of ten are of one class

_FOLLOWS_FROM = {"update_too_small": ("same_answer", "attention_uniform"), "same_answer": ("attention_uniform",)}
_LATER, _LATE = 0.2, 0.3  # shares of the run before which a model may look like that
_FEWEST_STEPS = 500  # before which it may in the shortest run too


@dataclass(frozen=True)
class When:
    """The moment of a look.

    Args:
        step: how many are done.
        total: how many the run has.
        lr: learning rate in units of the greatest of the run; small in warm-up and at the end.
    """

    step: int
    total: int
    lr: float

    def is_past(self, share: float) -> bool:
        """Whether this share of the run is done, and enough for a model to show something."""
        return self.step >= max(_FEWEST_STEPS, share * self.total)


def symptoms(figures: Mapping[str, list[float]], when: When, told: Collection[str] = ()) -> Iterator[tuple[str, str]]:
    """What is wrong, as pairs of a kind and a sentence, causes before what may follow from them.

    Args:
        figures: by name, ``block03/attention_entropy`` say, as ``vitlab.engine.inside`` and ``strides`` give them.
        when: the moment.
        told: kinds that need not be said, nor what follows from them.
    """
    finders = (_stride, _attention, _gradient, _heads, _tokens, _answers, _indifference)
    found = dict(pair for find in finders for pair in find(figures, when))
    silent = {*told, *(kind for cause in (*told, *found) for kind in _FOLLOWS_FROM.get(cause, ()))}
    yield from (pair for pair in found.items() if pair[0] not in silent)


def _attention(figures: Mapping[str, list[float]], when: When) -> Iterator[tuple[str, str]]:
    logits, entropies = _of(figures, "largest_logit"), _of(figures, "attention_entropy")
    block, largest = max(logits.items(), key=lambda item: item[1], default=("", 0.0))
    if largest > _MOST_LOGIT:
        yield (
            "attention_logits",
            f"attention logits have grown to {largest:.0f} in {block}, so that a token sees one other and nothing can "
            "change that; try model.attention.qk_norm=true or a smaller optimizer.lr",
        )
        return
    block, least = min(entropies.items(), key=lambda item: item[1], default=("", 1.0))
    if least < _LEAST_ENTROPY:
        yield (
            "attention_entropy",
            f"attention in {block} has collapsed: a token sees hardly more than one other (entropy {least:.1%} of the "
            "greatest); try model.attention.qk_norm=true, a smaller optimizer.lr or a longer scheduler.warmup",
        )


def _indifference(figures: Mapping[str, list[float]], when: When) -> Iterator[tuple[str, str]]:
    logits = _of(figures, "largest_logit")
    heads = [entropy for name, each in figures.items() if name.endswith("/attention_entropy") for entropy in each]
    if logits and min(heads, default=0.0) > _UNIFORM and _has_learned_little(figures) and when.is_past(_LATE):
        yield (
            "attention_uniform",
            f"no head of any block looks anywhere in particular after {when.step} steps: the attentions "
            "are averages and learn nothing; try a larger optimizer.lr, or model/init=mimetic",
        )


def _heads(figures: Mapping[str, list[float]], when: When) -> Iterator[tuple[str, str]]:
    dead = dead_heads(figures)
    if not dead or not when.is_past(_LATER):
        return
    named = [f"{head} of {block}" for block, heads in dead.items() for head in heads]
    more = f" and {len(named) - 3} more" if len(named) > 3 else ""
    subject = f"head {named[0]} gives" if len(named) == 1 else f"heads {', '.join(named[:3])}{more} give"
    yield (
        "dead_heads",
        f"{subject} the tokens next to nothing, as if it were not there; try fewer model.num_heads, a smaller "
        "optimizer.weight_decay or a smaller optimizer.lr",
    )


def dead_heads(figures: Mapping[str, list[float]]) -> dict[str, list[int]]:
    """The heads of each block, from 0, that give the tokens next to nothing; blocks without any are left out."""
    found = {}
    for name, powers in figures.items():
        block, _, figure = name.rpartition("/")
        if figure == "head_power":
            mean = sum(powers) / len(powers)
            found[block] = [head for head, power in enumerate(powers) if power <= _DEAD_HEAD * mean]
    return {block: heads for block, heads in found.items() if heads}


def _stride(figures: Mapping[str, list[float]], when: When) -> Iterator[tuple[str, str]]:
    (ratio,) = figures.get("update_ratio", [1e-3])
    if ratio > _MOST_STRIDE:
        yield (
            "update_too_large",
            f"a step changes the weights by {ratio:.0%} of their size, where 0.1 % is usual: the learning rate is too "
            "large; try a tenth of optimizer.lr or a longer scheduler.warmup",
        )
    is_small = ratio < _LEAST_STRIDE * when.lr and when.lr > _LEAST_RATE
    if is_small and _has_learned_little(figures) and when.is_past(_LATER):
        yield (
            "update_too_small",
            f"a step changes the weights by {ratio:.1g} of their size, where 1e-3 is usual, and little is learned yet: "
            "the learning rate is too small; try ten times optimizer.lr",
        )


def _tokens(figures: Mapping[str, list[float]], when: When) -> Iterator[tuple[str, str]]:
    alike = [block for block, similarity in _of(figures, "token_similarity").items() if similarity > _ALIKE]
    if alike and when.is_past(_LATER):
        yield (
            "tokens_alike",
            f"all tokens of an image are alike from {alike[0]} on (over-smoothing), so that what follows sees one "
            "token; try fewer blocks (model.depth), a smaller optimizer.lr or model.layer_scale=1e-4",
        )


def _gradient(figures: Mapping[str, list[float]], when: When) -> Iterator[tuple[str, str]]:
    norms = {block: norm for block, norm in _of(figures, "grad_norm").items() if f"{block}/token_similarity" in figures}
    if len(norms) < 2:
        return
    first, of_first = next(iter(norms.items()))
    block, largest = max(norms.items(), key=lambda item: item[1])
    if of_first < _VANISHED * largest:
        yield (
            "gradient_vanishes",
            f"the gradient vanishes on its way to the first blocks ({of_first:.1g} in {first}, {largest:.1g} in "
            f"{block}), which hardly learn; try model/block=pre_norm, fewer blocks or a longer scheduler.warmup",
        )


def _answers(figures: Mapping[str, list[float]], when: When) -> Iterator[tuple[str, str]]:
    (spread,), (confidence,) = figures.get("answer_spread", [1.0]), figures.get("answer_confidence", [1.0])
    if spread < _SAME_ANSWER and confidence < _SURE and when.is_past(_LATER):
        yield (
            "same_answer",
            f"all images get the same answer after {when.step} steps, so the loss does not move; try a "
            "tenth of optimizer.lr (ten times where it is tiny) or a longer scheduler.warmup, and look at the labels",
        )


def _has_learned_little(figures: Mapping[str, list[float]]) -> bool:
    return figures.get("answer_spread", [0.0])[0] < _TELLS_APART


def _of(figures: Mapping[str, list[float]], figure: str) -> dict[str, float]:
    """The mean of a figure in each block, where it is a number."""
    means = {
        name.rpartition("/")[0]: sum(numbers) / len(numbers)
        for name, numbers in figures.items()
        if name.endswith(f"/{figure}")
    }
    return {block: mean for block, mean in means.items() if mean == mean}

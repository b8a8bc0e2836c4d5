"""What is worth knowing of a whole model, in sentences: its size, its cost, and its attention computed in two ways."""

from vitlab.analysis.anatomy import Anatomy
from vitlab.analysis.figures import amount, megabytes, shape, share
from vitlab.analysis.fused import Comparison
from vitlab.analysis.teaching import LEARNED_TOKENS

NOTE = (
    "Within a block, parameters and FLOPs are those of one block; the share of all FLOPs is that of all its like. "
    "Matrix products and convolutions are counted; norms, softmax, activations and sums are not."
)
NO_SECOND_PATH = "an attention of this model has one path only, so there is nothing to compare"


def facts(anatomy: Anatomy, comparison: Comparison | None) -> list[tuple[str, str]]:
    """Pairs of a heading and one or two sentences.

    Args:
        anatomy: of the model.
        comparison: of its two paths through the attention, or None if it has one only.
    """
    return [
        ("Tokens", _tokens(anatomy)),
        ("Parameters", _parameters(anatomy)),
        ("FLOPs", f"{anatomy.flops:,} for an image ({amount(anatomy.flops)}), two for each multiply-add."),
        *_split(anatomy),
        *_paths(anatomy, comparison),
    ]


def _tokens(anatomy: Anatomy) -> str:
    tokens, patches = anatomy.sizes["T"], anatomy.sizes["N"]
    names = [s.name for section in anatomy.sections for s in section.stages if s.role in LEARNED_TOKENS]
    before = f" and {tokens - patches} before them ({', '.join(names)})" if tokens > patches else ""
    return (
        f"{tokens:,} for an image: {patches:,} patches of {anatomy.sizes['P']} × {anatomy.sizes['P']} pixels{before}."
    )


def _parameters(anatomy: Anatomy) -> str:
    frozen = anatomy.parameters - anatomy.trainable
    return f"{anatomy.parameters:,} ({amount(anatomy.parameters)})" + (
        f", {frozen:,} of them frozen." if frozen else "."
    )


def _split(anatomy: Anatomy) -> list[tuple[str, str]]:
    if not anatomy.growth or not anatomy.flops:
        return []
    met = anatomy.meeting_flops / anatomy.flops
    return [
        (
            "Where FLOPs go",
            f"{share(met)} where tokens meet tokens in the attentions; that part grows {anatomy.growth}. "
            f"{share(1 - met)} in all else (projections, MLPs, both ends), which grows with the tokens at most.",
        ),
    ]


def _paths(anatomy: Anatomy, comparison: Comparison | None) -> list[tuple[str, str]]:
    if comparison is None:
        return [("Eager against fused", f"{NO_SECOND_PATH}.")]
    depth = anatomy.depth
    held = comparison.weights_bytes
    return [
        (
            "Weights in memory",
            f"Eager attention holds {shape(comparison.weights_shape)} weights for an image in each block: "
            f"{megabytes(held)}, and {megabytes(held * depth)} in all {depth} blocks while it trains.",
        ),
        (
            "Eager against fused",
            "Two ways through one formula: eager writes the weights out, torch's fused kernel mixes and forgets. "
            f"Attention of the first block: {comparison.attention}. Logits: {comparison.logits}. "
            f"On {comparison.images} random image{'s' * (comparison.images > 1)}, in eval mode.",
        ),
    ]

"""The words of ``vitlab.explain``: what each stage is called, its formula, and what it does and why.

Only what holds whatever part is chosen; the rest is said by the part itself, in ``formula`` and its docstring.
"""

from torch import nn

LEARNED_TOKENS = ("cls_token", "dist_token", "registers")

NAMES = {
    "patch_embed": "patch embedding",
    "cls_token": "class token",
    "dist_token": "distillation token",
    "norm": "final norm",
    "head_dist": "distillation head",
    "norm1": "norm",
    "norm2": "norm",
    "attn": "attention",
    "mlp": "MLP",
    "ls1": "layer scale",
    "ls2": "layer scale",
    "drop_path": "shortcut",
    "shortcut": "depth-wise shortcut",
    "qkv": "Q, K, V",
    "q_norm": "norm of Q",
    "k_norm": "norm of K",
    "relation": "places",
    "proj": "projection",
}

FORMULAS = {
    "cls_token": "x = [x_CLS, x₁, …, x_N]",
    "dist_token": "x = [x_CLS, x_DIST, x₁, …, x_N]",
    "registers": "x = [prefix, r₁, …, r_R, x₁, …, x_N]",
    "qkv": "[Q K V] = x W + b",
    "q_norm": "Q ← LN(Q)",
    "k_norm": "K ← LN(K)",
    "gate": "O ⊙ σ(x W + b)",
    "proj": "[O of all heads] W + b",
    "head": "logits = y W + b",
    "head_dist": "logits = x_DIST W + b",
}

ROLES = {
    "patch_embed": "From here on the model sees {N} tokens of {D} numbers each, and no pixels.",
    "cls_token": (
        "One learned vector is put before the patches. It stands for no place in the image; through attention it can "
        "gather from the patches what the class depends on."
    ),
    "dist_token": "A second learned vector beside CLS, with a head of its own, which learns from a teacher model.",
    "registers": "Learned vectors without a place: scratch space for what belongs to no patch.",
    "position": "Attention by itself treats its tokens as a set, so where a patch stands must be told to it.",
    "norm1": "It keeps a token's numbers at a size with which the next layer learns well.",
    "norm2": "As before: what comes next gets numbers of a size with which it learns well.",
    "attn": "Each of the {H} heads decides for itself which tokens are worth looking at.",
    "qkv": (
        "From each token come queries Q (what it looks for), keys K (what it can be found by) and values V (what it "
        "passes on), split into heads of {dₖ} numbers."
    ),
    "q_norm": "Keeps the scores from growing without bound in a long training.",
    "k_norm": "The same for the keys.",
    "scores": "Queries meet keys in dot products. A high score says: this token holds what that one looks for.",
    "softmax": "The scores of each token become weights that add up to one. The higher the score, the more the weight.",
    "memory": "Keys and values meet first: one table of {dₖ} × {dₖ} for each head, however many tokens there are.",
    "normaliser": "The number by which each token's mixture is divided.",
    "mixing": "Each token takes the weighted mean of the values. This is where information moves between tokens.",
    "gate": "A sigmoid of the token decides, number by number, how much of what its heads bring goes on.",
    "proj": "The heads lie side by side again, and one linear layer combines what they found.",
    "drop_path": (
        "What a branch found is added to what was there: a block learns a correction, and the gradient has a short way "
        "back."
    ),
    "mlp": "Attention moves information between tokens; the MLP works on what has arrived.",
    "block": "Each block has weights of its own, and works on the tokens that the one before it leaves.",
    "norm": "The last one, so that the head reads numbers of a steady size.",
    "pool": "One vector now stands for the whole image.",
    "head": "One linear layer gives {K} numbers, one for each class. The largest is the model's answer.",
    "head_dist": "Reads the distillation token. Outside training the answer is the mean of both heads.",
    "rest": "What belongs to no other stage of this table.",
}

_SAID_BY_ROLE = ("drop_path",)  # what its class says is of training, where branches are left out

LETTERS = {
    "T": "tokens",
    "N": "patches",
    "P": "pixels along a patch",
    "D": "numbers in a token",
    "H": "heads",
    "dₖ": "numbers in a head",
    "K": "classes",
}


def name_of(role: str) -> str:
    """What the stage with this role is called."""
    return NAMES.get(role, role)


def formula_of(role: str, part: nn.Module | None) -> str:
    """The formula of ``part``: its own, or that of a plain layer in this role, or the name of its class."""
    if part is None:
        return FORMULAS[role]
    if own := getattr(part, "formula", None):
        return str(own)
    if isinstance(part, nn.Linear | nn.LayerNorm) and role in FORMULAS:
        formula = FORMULAS[role]
        return formula if getattr(part, "bias", None) is not None else formula.replace(" + b", "")
    return type(part).__name__


def words_of(role: str, part: nn.Module | None, sizes: dict[str, int]) -> str:
    """One to three sentences: what the part says of itself, then what a stage in this role is for."""
    own = "" if part is None or role in _SAID_BY_ROLE else said_by(part)
    return f"{own} {ROLES.get(role, '').format_map(_Known(sizes))}".strip()


class _Known(dict[str, int]):
    """Sizes in which a letter without a number stands for itself."""

    def __missing__(self, letter: str) -> str:
        return letter


def said_by(part: nn.Module) -> str:
    """The first paragraph of the docstring of the part's class as one line; nothing for a plain layer of torch."""
    if type(part).__module__.startswith("torch."):
        return ""
    paragraph = (vars(type(part)).get("__doc__") or "").strip().split("\n\n")[0]
    return " ".join(paragraph.replace("``", "").split())

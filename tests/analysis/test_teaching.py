from torch import nn

from vitlab.analysis.teaching import ROLES, formula_of, name_of, said_by, words_of
from vitlab.models.norm import LayerNorm


class Mine(nn.Module):
    """Looks at ``x`` once
    and again.

    Not this.
    """


class Silent(nn.Module):
    pass


def test_a_part_says_its_formula_and_a_stranger_its_name():
    assert formula_of("norm1", LayerNorm(4)) == LayerNorm.formula
    assert formula_of("norm1", Mine()) == "Mine"
    assert formula_of("mlp", nn.Linear(2, 2)) == "Linear"


def test_a_layer_without_bias_is_shown_without():
    assert formula_of("qkv", nn.Linear(2, 6)) == "[Q K V] = x W + b"
    assert formula_of("qkv", nn.Linear(2, 6, bias=False)) == "[Q K V] = x W"


def test_the_first_paragraph_is_what_a_part_says():
    assert said_by(Mine()) == "Looks at x once and again."
    assert said_by(Silent()) == said_by(nn.Linear(1, 1)) == ""


def test_every_sentence_can_be_filled_in_and_letters_without_a_number_stand():
    for role in ROLES:
        assert "{" not in words_of(role, None, {"N": 4, "D": 8})
    assert "4 tokens of 8 numbers" in words_of("patch_embed", None, {"N": 4, "D": 8})
    assert "heads of dₖ numbers" in words_of("qkv", None, {})


def test_an_unknown_role_is_its_own_name():
    assert name_of("mixer") == "mixer"
    assert words_of("mixer", None, {}) == ""

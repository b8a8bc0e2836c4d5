import math
from dataclasses import replace

import pytest

from vitlab.engine.symptoms import When, dead_heads, symptoms

MIDWAY = When(step=500, total=1000, lr=1.0)
HEALTHY = {
    "update_ratio": [2e-3],
    "answer_spread": [0.2],
    "answer_confidence": [0.4],
    **{f"block{i:02d}/attention_entropy": [0.99, 0.7] for i in range(3)},
    **{f"block{i:02d}/largest_logit": [6.0] for i in range(3)},
    **{f"block{i:02d}/head_power": [1.0, 0.3] for i in range(3)},
    **{f"block{i:02d}/token_similarity": [0.9] for i in range(3)},
    **{f"block{i:02d}/grad_norm": [1.0] for i in range(3)},
}
ALL = ("block00", "block01", "block02")


def said(changes, when=MIDWAY):
    return dict(symptoms({**HEALTHY, **changes}, when))


def test_a_healthy_model_has_none():
    assert said({}) == {}
    assert dict(symptoms({"update_ratio": [1e-3], "head/grad_norm": [1.0]}, MIDWAY)) == {}


@pytest.mark.parametrize(
    ("kind", "changes", "cause", "remedy"),
    [
        ("attention_logits", {"block01/largest_logit": [120.0]}, "grown to 120 in block01", "qk_norm=true"),
        ("attention_entropy", {"block02/attention_entropy": [0.01, 0.02]}, "block02 has collapsed", "qk_norm=true"),
        (
            "attention_uniform",
            {f"{block}/attention_entropy": [1.0, 0.99995] for block in ALL},
            "no head of any block looks anywhere in particular after 500 steps",
            "a larger optimizer.lr",
        ),
        ("dead_heads", {"block01/head_power": [1.0, 1e-6]}, "head 1 of block01 gives", "fewer model.num_heads"),
        ("update_too_large", {"update_ratio": [0.3]}, "by 30% of their size", "a tenth of optimizer.lr"),
        ("update_too_small", {"update_ratio": [2e-6]}, "by 2e-06 of their size", "ten times optimizer.lr"),
        ("tokens_alike", {"block01/token_similarity": [0.999]}, "alike from block01 on", "fewer blocks"),
        ("gradient_vanishes", {"block00/grad_norm": [1e-5]}, "1e-05 in block00, 1 in block01", "pre_norm"),
        (
            "same_answer",
            {"answer_spread": [0.001], "answer_confidence": [0.1]},
            "all images get the same answer after 500 steps",
            "look at the labels",
        ),
    ],
)
def test_each_sickness_is_told_with_its_cause_and_a_remedy(kind, changes, cause, remedy):
    found = said(changes)
    assert list(found) == [kind]
    assert cause in found[kind]
    assert remedy in found[kind]
    assert "\n" not in found[kind]


def test_heads_are_told_by_their_number_and_the_first_of_many_by_name():
    powers = {f"{block}/head_power": [1.0, 0.0] for block in ALL}
    assert said(powers | {"block00/head_power": [0.0, 0.0]})["dead_heads"].startswith(
        "heads 0 of block00, 1 of block00, 1 of block01 and 1 more give"
    )
    assert dead_heads({"block00/head_power": [0.0, 0.0], "block01/head_power": [2.0, 1.0]}) == {"block00": [0, 1]}


@pytest.mark.parametrize("kind", ["attention_uniform", "dead_heads", "tokens_alike", "same_answer", "update_too_small"])
def test_what_a_model_looks_like_at_its_start_is_no_sickness_then(kind):
    changes = {
        "attention_uniform": {f"{block}/attention_entropy": [1.0, 1.0] for block in ALL},
        "dead_heads": {"block01/head_power": [1.0, 0.0]},
        "tokens_alike": {"block01/token_similarity": [0.999]},
        "same_answer": {"answer_spread": [0.0], "answer_confidence": [0.1]},
        "update_too_small": {"update_ratio": [1e-7]},
    }[kind]
    assert kind in said(changes)
    assert said(changes, replace(MIDWAY, total=10_000)) == {}
    assert said(changes, replace(MIDWAY, step=100, total=100)) == {}


def test_small_steps_are_right_where_the_rate_is_low_or_the_model_has_learned():
    assert said({"update_ratio": [1e-9]}, When(990, 1000, lr=0.01)) == {}
    assert said({"update_ratio": [1e-9], "answer_spread": [0.7]}) == {}


def test_a_rate_that_is_too_small_is_told_without_what_follows_from_it():
    same = {"answer_spread": [0.0], "answer_confidence": [0.1]}
    uniform = {f"{block}/attention_entropy": [1.0, 1.0] for block in ALL}
    assert list(said({"update_ratio": [1e-9], **same, **uniform})) == ["update_too_small"]
    assert list(said({"update_ratio": [1e-9], **same, **uniform}, When(700, 1000, lr=0.1))) == ["update_too_small"]
    assert list(said({**same, **uniform})) == ["same_answer"]
    after = symptoms({**HEALTHY, **same, **uniform}, When(1000, 1000, lr=0.0), told=["update_too_small"])
    assert list(after) == []


def test_a_model_that_is_sure_of_the_one_class_of_all_images_may_answer_alike():
    assert said({"answer_spread": [0.0], "answer_confidence": [0.99]}) == {}


def test_uniform_attention_of_a_model_that_learns_or_without_a_softmax_is_right():
    uniform = {f"{block}/attention_entropy": [1.0, 1.0] for block in ALL}
    assert said({**uniform, "answer_spread": [0.6]}) == {}
    without = {name: each for name, each in {**HEALTHY, **uniform}.items() if "logit" not in name}
    assert dict(symptoms(without, MIDWAY)) == {}


def test_figures_that_are_not_finite_say_nothing():
    assert dict(symptoms({name: [math.nan] * len(each) for name, each in HEALTHY.items()}, MIDWAY)) == {}

from vitlab.microscopy.words import (
    agreement,
    alignment,
    alignment_with_other,
    distance,
    filters,
    focus,
    loss,
    positions,
    sentences,
    shares,
    similarity,
)

ROW = {"part": "head", "block": 1, "head": 1, "accuracy": 0.8, "drop": 0.0, "drop_95": [-0.01, 0.01]}
FOUND = {
    "images": 1,
    "source": "test",
    "step": 12,
    "tokens": 17,
    "grid": [4, 4],
    "pixels_a_patch": 2.0,
    "distance": {"patches": [[0.5, 1.25], [1.96, 2.0]], "even": 2.01},
    "entropy": {"nats": [[2.0, 1.0], [2.5, 0.6931]], "even": 2.8},
    "shares": {"CLS": [[0.1, 0.3], [0.0, 0.2]], "itself": [[0.5, 0.5]] * 2, "other patches": [[0.4, 0.2], [0.5, 0.3]]},
    "similarity": [0.2, 0.5, 0.9],
    "agreement": 0.5,
    "cka": [[1, 0.8, 0.25], [0.8, 1, 0.9], [0.25, 0.9, 1]],
    "cka_other": [[0.9, 0.1], [0.5, 0.6], [0.2, 0.7]],
    "other": "10-00",
    "positions": {"part": "NoPosition", "grids": [{"kind": "bias", "near": 0.5, "far": -0.25}]},
    "filters": {"part": "ConvStem", "variance": [0.6, 0.3, 0.1]},
    "ablation": {
        "images": 1000,
        "accuracy": 0.8,
        "rows": [
            ROW,
            {**ROW, "head": 2, "drop": 0.05, "drop_95": [0.03, 0.07]},
            {**ROW, "head": 3, "drop": -0.05, "drop_95": [-0.07, -0.03]},
            {**ROW, "part": "block", "head": None, "drop": 0.4, "drop_95": [0.35, 0.45]},
        ],
    },
}


def test_each_sentence_says_what_was_found():
    assert distance(FOUND) == "heads of block 1 look 0.5 to 1.2 patches far, of block 2 2.0"
    assert focus(FOUND) == "head 2 of block 2 is most focused: as on 2.0 of 17 tokens"
    assert shares(FOUND) == "patches give CLS up to 20% of their attention (block 1)"
    assert similarity(FOUND) == "the patches of an image grow more alike: 0.20 before the blocks, 0.90 after them"
    assert agreement(FOUND) == "rollout and gradient rollout agree in part (r = 0.50)"
    assert alignment(FOUND) == "the embedded patches and block 2 have least in common: CKA 0.25"
    assert alignment_with_other(FOUND) == "the last block is most like block 1 of 10-00: CKA 0.70"
    assert positions(FOUND) == ["places add +0.50 to the score of neighbours, -0.25 to that of far patches"]
    assert filters(FOUND) == "2 of 3 patterns hold 90 % of the variance of the patch filters"
    told = "most is lost without block 1: 40.0 points (35.0 to 45.0); without 2 of 3 heads no clear loss"
    assert loss(FOUND) == told
    assert sentences(FOUND)[0] == "seen with 1 image of test, with the weights of step 12"
    assert sentences(FOUND)[-1] == f"{told} (1,000 images, 80.0% right with all parts)"


def test_what_is_not_there_is_said():
    none = {
        **FOUND,
        "positions": {"part": "NoPosition", "grids": []},
        "filters": {"part": "ConvStem", "variance": None},
    }
    none |= {
        "agreement": None,
        "cka": None,
        "cka_other": None,
        "shares": {"itself": [[0.5, 0.1]], "other patches": [[0]]},
    }
    del none["ablation"]
    assert positions(none) == ["NoPosition tells no patch where it stands"]
    assert "ConvStem has no filters" in filters(none)
    assert agreement(none) == "the maps are too even to be compared"
    assert shares(none) == "patches give themselves up to 30% of their attention (block 1)"
    assert sentences(none)[-1] == "CKA takes four images or more, so 10-00 was left out"
    assert sentences({**none, "other": None})[-1] == "CKA takes four images or more"


def test_what_does_not_stand_out_is_not_named():
    even = {**FOUND, "entropy": {"nats": [[2.82, 2.83]], "even": 2.83}}
    assert focus(even) == "no head is focused: each looks at 16.8 of 17 tokens or more"
    assert alignment({**FOUND, "cka": [[1.0, 0.999], [0.999, 0.99]]}) == "all layers say the same"
    assert alignment({**FOUND, "cka": [[0.0, 0.5], [0.5, 0.0]]}).endswith("CKA 0.50")
    spare = {**FOUND, "ablation": {**FOUND["ablation"], "rows": [ROW, {**ROW, "part": "block", "head": None}]}}
    assert loss(spare) == "no part can be told to be missed"


def test_of_one_patch_no_distance_is_told():
    told = sentences({**FOUND, "grid": [1, 1]})
    assert "an image is one patch: there is no distance" in told
    assert not any("patches far" in sentence or "the patches of an image" in sentence for sentence in told)


def test_one_block_and_tokens_that_stay_as_they_are():
    assert distance({**FOUND, "distance": {"patches": [[1.0, 1.0]]}}) == "heads of block 1 look 1.0 patches far"
    assert "stay as alike" in similarity({**FOUND, "similarity": [0.5, 0.52]})
    assert "grow less alike" in similarity({**FOUND, "similarity": [0.5, 0.2]})

import math

from vitlab.evaluation.words import calibration, confused, hardest, sentences, weakest


def test_the_sentences_say_what_was_found(found):
    assert hardest(found) == "cat is hardest: F1 79.0%"
    assert confused(found) == "cat is taken for dog most often: 15 of 50"
    assert calibration(found) == "surer than it is right by 15.0%: calibration error 15.0%"
    assert weakest(found) == "corrupted: 38.0% on average, 10.0% under fog"  # (14 x 40 + 10) / 15
    told = sentences(found)
    assert told[0] == (
        "test accuracy 80.00% (95 % interval 71.00% to 87.00%) of 100 images, with the weights of step 12"
    )
    assert "with the mean of image and mirror image: 82.00%" in told[4]
    assert "1,000 images/s in batches of 8, 2.00 ms for one" in told[-1]


def test_what_is_equal_is_not_called_the_worst_and_a_bound_is_called_one(found):
    same = [{**row, "f1": 1.0} for row in found["classes"]]
    assert hardest({**found, "classes": same}) == "all classes are as hard: F1 100.0%"
    damages = dict.fromkeys(found["robustness"], found["robustness"]["shift"])
    assert weakest({**found, "robustness": damages}).endswith("the same under each corruption")
    assert "bound" not in sentences(found)[1]
    found["calibrated"]["temperature"] = math.exp(3.9999)
    assert "the temperature 54.59 that fits val, the bound of the search" in sentences(found)[1]


def test_a_model_without_fault_and_one_that_is_too_modest(found):
    assert confused({**found, "confusion": [[50, 0], [0, 50]]}) == "no image is mistaken"
    one = {**found["reliability"][0], "confidence": 0.6}
    assert calibration({**found, "reliability": [one]}).startswith("less sure than it is right by 20.0%")
    assert calibration({**found, "reliability": [{**one, "confidence": 0.801}]}).startswith("as sure as it is right")
    del found["mirrored"], found["robustness"]
    assert not any("mirror" in sentence or "corrupted" in sentence for sentence in sentences(found))

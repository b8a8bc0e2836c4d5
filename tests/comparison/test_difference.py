import json

import pytest

from vitlab.comparison.comparing import compare
from vitlab.comparison.difference import difference_in_words, refuse_other_than_two
from vitlab.comparison.loading import load
from vitlab.errors import VitlabError


def test_what_was_set_and_what_follows_and_what_came_of_it_is_told(make_run, tmp_path):
    first = make_run("a", 0.90, **{"model.depth": 2})
    second = make_run("b", 0.925, **{"model.depth": 8, "seed": 1})
    for folder, commit in ((first, "abc"), (second, "def")):
        (folder / "provenance.json").write_text(json.dumps({"commit": commit, "hashes": {"images/train": commit}}))
    told = difference_in_words(*load([tmp_path]).runs)
    assert told[:2] == ["model.depth: 2 → 8", "seed: 0 → 1"]
    assert "so parameters 2,000 → 8,000 (x4)" in told
    assert "so FLOPs of an image 10,000 → 40,000 (x4)" in told
    assert "commit: abc → def" in told
    assert "images/train: are not the same images" in told
    assert "val accuracy 90.00% → 92.50% (+2.50 points; one run each tells no noise)" in told


def test_runs_that_differ_in_nothing_say_so(make_run, tmp_path):
    make_run("a", 0.5)
    make_run("b", 0.5)
    assert difference_in_words(*load([tmp_path]).runs)[0] == "no setting differs"


def test_more_than_two_runs_are_refused(make_run, tmp_path):
    for name in "abc":
        make_run(name, 0.5)
    with pytest.raises(VitlabError, match="there are 3 in these folders"):
        refuse_other_than_two(compare(load([tmp_path])))


@pytest.mark.slow
def test_tokens_are_those_of_the_real_models(command, quick, runs):
    for patch in (4, 2):
        done = command("train", *quick, f"model.patch_size={patch}", "trainer.max_steps=1")
        assert done.returncode == 0, done.stderr
    told = command("compare", "--diff", *map(str, runs()))
    assert told.returncode == 0, told.stderr
    lines = told.stdout.splitlines()
    assert lines[0] == "model.patch_size: 4 → 2"
    assert "so tokens 5 → 17" in lines
    assert any(line.startswith("so FLOPs of an image") and "(x3." in line for line in lines)

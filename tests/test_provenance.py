import json
import subprocess
from pathlib import Path

import pytest
import torch

import vitlab
from vitlab import provenance
from vitlab.runs import RunFolder


def test_it_names_commit_versions_seed_device_and_hashes():
    found = provenance.collect(seed=3, device="a device", hashes={"data": "abc"})
    assert found["seed"] == 3
    assert found["device"] == "a device"
    assert found["hashes"] == {"data": "abc"}
    assert found["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert found["versions"]["vitlab"] == vitlab.__version__
    json.dumps(found, allow_nan=False)


def test_the_commit_is_the_checkout_s_own():
    checkout = Path(vitlab.__file__).parents[1]
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True, check=True)
    assert provenance.collect(0, "cpu", {})["commit"] == head.stdout.strip()


def test_without_a_checkout_or_git_the_commit_is_unknown(tmp_path):
    assert provenance._git(tmp_path, "rev-parse", "HEAD") is None
    (tmp_path / ".git").mkdir()
    assert provenance._git(tmp_path, "rev-parse", "HEAD") is None


def test_a_package_that_is_not_installed_has_no_version():
    assert provenance._version("no-such-package-at-all") is None


def test_the_names_of_the_classes_are_kept_once(tmp_path):
    run = RunFolder(tmp_path)
    assert provenance.class_names(run) == []
    provenance.save_once(run, 0, "cpu", {}, ("cat", "dog"))
    provenance.save_once(run, 0, "cpu", {}, ("dog", "cat"))
    assert provenance.class_names(run) == ["cat", "dog"]
    run.provenance.write_text("{")
    assert provenance.class_names(run) == []


@pytest.mark.parametrize("names", ["5", "[5]", '{"a": 1}', "null", "[" * 100_000])
def test_names_of_classes_that_are_none_are_unknown(tmp_path, names):
    run = RunFolder(tmp_path)
    run.provenance.write_text(f'{{"hashes": {{}}, "class_names": {names}}}')
    assert provenance.class_names(run) == []


@pytest.mark.parametrize("others", [["a\nline of a stranger's", {}], []])
def test_of_changed_data_only_what_the_run_has_is_told(tmp_path, others):
    run = RunFolder(tmp_path)
    run.provenance.write_text(
        json.dumps({"hashes": {"images/train": "abc"}, "changed_data": ["images/train", *others]})
    )
    assert provenance.accept_other_data(run, {"images/train": "abc"}) == ["images/train"]

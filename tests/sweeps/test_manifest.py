import copy
import json

import pytest

from vitlab.errors import VitlabError
from vitlab.sweeps.manifest import Manifest, job_of, new_job, read


def test_what_was_saved_is_read_again(manifest):
    manifest.jobs[1].state, manifest.jobs[1].reason, manifest.jobs[1].attempts = "failed", "it broke", 2
    manifest.search = ["model.depth=range(1,4)"]
    manifest.save()
    again = read(manifest.folder)
    assert again == manifest
    assert [job.number for job in again.by_state("pending")] == [0, 2]


def test_changes_are_read_with_what_was_saved_before_them(manifest):
    manifest.save()
    written = (manifest.folder / "sweep.json").read_bytes()
    for state in ("running", "failed"):
        manifest.jobs[1].state = state
        manifest.note(manifest.jobs[1])
    manifest.jobs.append(new_job(3, ["a=1"], ["a=1"]))
    manifest.note(manifest.jobs[3])
    assert (manifest.folder / "sweep.json").read_bytes() == written
    assert read(manifest.folder) == manifest
    manifest.save()
    assert not (manifest.folder / "sweep.jsonl").exists()
    assert read(manifest.folder) == manifest


@pytest.mark.parametrize("cut", range(1, 60))
def test_a_change_that_was_torn_is_as_if_it_had_not_been_made(manifest, cut):
    manifest.save()
    manifest.jobs[0].state = "done"
    manifest.note(manifest.jobs[0])
    before = copy.deepcopy(manifest)
    manifest.jobs[2].state = "done"
    manifest.note(manifest.jobs[2])
    changes = manifest.folder / "sweep.jsonl"
    changes.write_bytes(changes.read_bytes()[:-cut])
    assert read(manifest.folder) == before


@pytest.mark.parametrize("line", ["{}", "[]", "odd", '{"number": 7}', '{"number": "0"}', '{"number": 0, "folder": 1}'])
def test_strange_changes_are_named(manifest, line):
    manifest.save()
    (manifest.folder / "sweep.jsonl").write_text(line + "\n")
    with pytest.raises(VitlabError, match=r"sweep.json cannot be read as the jobs of a sweep"):
        read(manifest.folder)


def test_a_change_is_one_line_however_many_jobs_there_are(tmp_path):
    manifest = Manifest(tmp_path, [new_job(number, [f"seed={number}"], [f"seed={number}"]) for number in range(500)])
    manifest.save()
    manifest.note(manifest.jobs[250])
    assert (tmp_path / "sweep.jsonl").read_text().count("\n") == 1


def test_a_folder_is_named_after_what_is_the_job_s_own_and_stays_a_folder_name():
    assert new_job(3, ["a=1", "b/c=x,'y'"], ["b/c=x,'y'"]).folder == "3-b-c=x,-y-"
    assert new_job(0, ["a=1"], []).folder == "0"
    assert len(new_job(0, [], ["x=" + "y" * 500]).folder) <= 120


def test_the_job_of_a_run_is_found_from_its_folder(manifest, tmp_path):
    manifest.save()
    assert job_of(manifest.run(manifest.jobs[2]).path) == manifest.jobs[2]
    assert job_of(manifest.folder / "other") is None
    assert job_of(tmp_path / "outputs" / "run") is None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "[]",
        '{"jobs": [1]}',
        '{"jobs": [{"number": 0}]}',
        json.dumps({"jobs": [{"number": 0, "folder": "../out", "overrides": [], "varied": []}]}),
        json.dumps({"jobs": [{"number": 0, "folder": "0", "overrides": [], "varied": [], "state": "odd"}]}),
        json.dumps({"jobs": [{"number": 0, "folder": "0", "overrides": [1], "varied": []}]}),
    ],
)
def test_a_torn_or_strange_manifest_is_named(tmp_path, content):
    (tmp_path / "sweep.json").write_text(content)
    with pytest.raises(VitlabError, match=r"sweep.json cannot be read as the jobs of a sweep"):
        read(tmp_path)


def test_the_same_jobs_in_another_order_are_the_same_sweep(manifest):
    manifest.refuse_other_jobs([list(reversed(job.overrides)) for job in reversed(manifest.jobs)])


def test_other_jobs_are_refused_and_the_difference_is_shown(manifest):
    with pytest.raises(VitlabError, match=r"it has model.depth=1; lacks model.depth=9; leave"):
        manifest.refuse_other_jobs([["tracker=none", f"model.depth={depth}"] for depth in (2, 3, 9)])
    with pytest.raises(VitlabError, match=r"lacks model.depth=2 seed=3; …"):
        manifest.refuse_other_jobs([["tracker=none", f"model.depth={d}", "seed=3"] for d in (1, 2, 3)])


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(VitlabError, match=r"file/sweep/sweep.json cannot be written"):
        Manifest(tmp_path / "file" / "sweep").save()

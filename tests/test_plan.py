import re

import pytest
from PIL import Image

pytestmark = pytest.mark.slow  # the command in a process of its own


def test_the_plan_lists_every_job_trains_nothing_and_leaves_nothing(command, tmp_path):
    done = command("plan", "--multirun", "model.depth=1,2", "model.num_heads=3,4", "trainer.epochs=2")
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"│ +\d+ │ +[12] │ +4 │ +64 │ +17 │", done.stdout)) == 2
    assert "illegal 0 model.depth=1 model.num_heads=3: model.num_heads=3 does not divide" in done.stdout
    assert "4 jobs, 2 illegal, which are skipped" in done.stdout
    assert done.stdout.rstrip().endswith("nothing was trained")
    assert list(tmp_path.iterdir()) == []


def test_it_is_the_same_as_a_sweep_that_is_told_to_plan(command, tmp_path):
    done = command("train", "sweep=seeds", "sweep.plan=true", "model.depth=1")
    assert done.returncode == 0, done.stderr
    assert "5 jobs, " in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_one_run_has_a_plan_too_and_budgets_show_their_width(command):
    done = command("plan", "model.num_heads=3", "budget=params:100K")
    assert done.returncode == 0, done.stderr
    assert re.search(r"│ +0 │ +45 │ +17 │ +101,125 │", done.stdout)


def test_a_plan_of_nothing_but_illegal_jobs_fails(command):
    done = command("plan", "-m", "model.num_heads=3,5")
    assert done.returncode == 1
    assert "vitlab: 2 of 2 jobs cannot be run" in done.stderr


def test_images_that_are_not_there_are_the_reason_why_a_job_cannot_be_run(command, tmp_path):
    done = command("plan", "data=image_folder_32", f"data.root={tmp_path / 'none'}")
    assert done.returncode == 1
    assert str(tmp_path / "none") in done.stdout


@pytest.mark.parametrize("budget", [(), ("budget=params:100K",)])
def test_a_folder_whose_classes_are_counted_has_a_plan(command, tmp_path, budget):
    for number in range(60):
        path = tmp_path / "pictures" / "train" / f"class {number % 3}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (4 * number, 0, 0)).save(path)
    folder = ("data=image_folder_32", "data.root=pictures", "data.source.cache_dir=null")
    done = command("plan", "-m", "model.depth=1,2", *folder, "augment=strong", "trainer.batch_size=4", *budget)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 jobs, " in done.stdout

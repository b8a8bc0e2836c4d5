import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from wandb_file import read_run

from vitlab.config.compose import conf_dir
from vitlab.engine.checkpoint import read

pytestmark = pytest.mark.slow  # each test starts the command in processes of its own

EVERYTHING = (  # whatever draws random numbers or has a state
    "model.mlp_drop=0.1",
    "model.drop_path=0.2",
    "model.patch_drop=0.25",
    "trainer.patch_drop_until=0.6 of run",
    "model/patch_embed=conv_stem",  # batch norm, whose averages are state too
    "model.layer_decay=0.9",
    "augment=strong",
    "trainer.ema_decay=0.9",
    "trainer.accumulate=2",
    "optimizer=muon",
    "trainer.batch_size=128",
)
# The parameters that each trains, and what makes a step of it short.
EXPERIMENTS = {
    "quickstart": (154_506, []),
    "seed_cifar10": (3_583_306, []),
    "cpu_cifar10": (174_850, []),
    "modern_cifar10": (3_582_922, []),
    "depthwise_cifar10": (3_598_282, []),
    "stem_cifar10": (3_650_554, []),
    "sprint_cifar10": (6_205_418, []),
    "peak_cifar10": (9_586_442, []),
    "finetune": (2_693_578, ["model=vit_tiny", "data=cifar10", "model.depth=6", "model.weights=WEIGHTS"]),
    "vit_s16_imagenet": (
        2_074_378,
        ["data.num_classes=10", "data.val_fraction=0.1", "model.depth=1", "data.memory_limit_mb=1"],
    ),
}


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def untimed(folder):
    clock = ("seconds", "images_per_second")
    return [{k: v for k, v in row.items() if k not in clock} for row in rows(folder)]


def summary(folder):
    return json.loads((folder / "summary.json").read_text())


def weights(folder):
    return read(folder / "checkpoints" / "last.pt")["model"]


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def start(tmp_path, *arguments):
    """The command in the background; SIGINT reaches it as it would from a terminal."""
    return subprocess.Popen(
        [sys.executable, "-m", "vitlab.train", *arguments],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def test_a_run_leaves_a_folder_that_tells_all(command, quick, runs):
    arguments = [*(q for q in quick if q != "tracker=none"), "trainer.epochs=2", "seed=3", "optimizer.lr=2e-3"]
    done = command("train", *arguments)
    assert done.returncode == 0, done.stderr
    (folder,) = runs()
    told = summary(folder)
    assert told["status"] == "done"
    assert {"test_accuracy", "val_accuracy", "parameters", "flops_per_image", "best_step", "seconds"} <= told.keys()
    assert 0 <= told["test_accuracy"] <= 1
    assert f"test accuracy {told['test_accuracy']:.2%}" in done.stdout
    assert OmegaConf.load(folder / "config.yaml").model.num_classes == 10
    assert "${" not in (folder / "config.yaml").read_text()
    assert OmegaConf.load(folder / "overrides.yaml") == arguments
    found = rows(folder)
    assert all({"step", "epoch", "images_seen", "seconds"} <= row.keys() for row in found)
    assert [row["test/accuracy"] for row in found if "test/accuracy" in row] == [told["test_accuracy"]]
    assert max(row.get("val/accuracy", 0) for row in found) == told["val_accuracy"]
    assert (folder / "metrics.csv").read_text().startswith("step,epoch,images_seen,seconds,")
    provenance = json.loads((folder / "provenance.json").read_text())
    assert provenance["seed"] == 3
    assert set(provenance["hashes"]) == {"images/train", "images/test", "split/train", "split/val"} | {"split/test"}
    assert "test accuracy" in (folder / "train.log").read_text()
    assert {p.name for p in (folder / "checkpoints").iterdir()} == {"last.pt", "best.pt"}

    (file,) = folder.glob("wandb/offline-run-*/*.wandb")
    run = read_run(file)
    assert run.name == ",".join(arguments)
    assert not run.group
    assert run.exit_code == 0
    assert run.config["model"]["depth"] == 1
    assert run.config["parameters"] == told["parameters"]
    assert run.id == (folder / "wandb_id.txt").read_text().strip()
    assert run.summary["test_accuracy"] == told["test_accuracy"]
    logged = {key for row in run.history for key in row}
    assert logged >= {"train/loss", "val/loss", "val/accuracy", "test/accuracy", "lr", "grad_norm", "images_per_second"}


def test_a_sweep_is_three_jobs_three_folders_and_three_runs_in_one_group(command, runs):
    small = ["model.embed_dim=16", "model.num_heads=2", "trainer.epochs=1", "trainer.limit_batches=2"]
    done = command("train", "--multirun", "model.depth=1,2,3", *small)
    assert done.returncode == 0, done.stderr
    folders = runs("multirun")
    assert [OmegaConf.load(folder / "config.yaml").model.depth for folder in folders] == [1, 2, 3]
    wandb_runs = [read_run(next(folder.glob("wandb/*/*.wandb"))) for folder in folders]
    assert len({run.id for run in wandb_runs}) == 3
    (group,) = {run.group for run in wandb_runs}
    assert group == "_".join(folders[0].parts[-3:-1])
    assert [run.config["model"]["depth"] for run in wandb_runs] == [1, 2, 3]
    assert [run.name for run in wandb_runs] == ["model.depth=1", "model.depth=2", "model.depth=3"]
    for depth, run in enumerate(wandb_runs, start=1):
        assert next(key for key in run.config if key != "_wandb") == "sweep"
        assert run.config["sweep"] == {"model.depth": str(depth)}
    assert all(run.exit_code == 0 for run in wandb_runs)
    assert command("evaluate", f"run={folders[1]}").returncode == 0
    assert "this run is done" in command("train", f"resume={folders[1]}").stderr


@pytest.mark.faults
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_stopped_by_a_signal_and_resumed_it_ends_as_if_it_had_never_stopped(command, quick, tmp_path, number):
    tracked = [q for q in quick if q != "tracker=none"]
    arguments = [*tracked, *EVERYTHING, "trainer.epochs=12", "trainer.log_every=3 steps", "scheduler.warmup=5 steps"]
    done = command("train", *arguments, "hydra.run.dir=unbroken")
    assert done.returncode == 0, done.stderr
    broken = tmp_path / "broken"
    process = start(tmp_path, *arguments, "hydra.run.dir=broken")
    wait_until(lambda: (broken / "metrics.jsonl").exists() and len(rows(broken)) > 12)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "resume=broken goes on from there" in stdout
    assert summary(broken)["status"] == "interrupted"
    assert "Traceback" not in stderr
    stopped_at = read(broken / "checkpoints" / "last.pt")["step"]
    resumed = command("train", f"resume={broken}")
    assert resumed.returncode == 0, resumed.stderr
    assert f"going on from step {stopped_at}" in resumed.stdout
    assert summary(broken)["status"] == "done"
    assert same(weights(broken), weights(tmp_path / "unbroken"))
    assert untimed(broken) == untimed(tmp_path / "unbroken")
    first, second = (
        read_run(file) for file in sorted(broken.glob("wandb/offline-run-*/*.wandb"), key=lambda p: p.stat().st_mtime)
    )
    assert (first.id, first.name, first.exit_code) == (second.id, second.name, 128 + number)
    assert second.exit_code == 0
    again = command("train", f"resume={broken}")
    assert again.returncode == 1
    assert "this run is done" in again.stderr
    assert summary(broken)["status"] == "done"


@pytest.mark.faults
def test_killed_without_warning_it_goes_on_from_the_last_checkpoint(command, quick, tmp_path):
    arguments = [*quick, *EVERYTHING, "trainer.epochs=8", "trainer.log_every=2 steps"]
    assert command("train", *arguments, "hydra.run.dir=unbroken").returncode == 0
    broken = tmp_path / "it's broken, a=b"
    process = start(tmp_path, *arguments, "hydra.run.dir='it\\'s broken, a=b'")
    wait_until(lambda: (broken / "metrics.jsonl").exists() and len(rows(broken)) > 16)
    process.kill()
    process.communicate()
    torn = broken / "checkpoints" / "last.pt"
    torn.write_bytes(torn.read_bytes()[:-1000])
    resumed = command("train", f"resume={broken}")
    assert resumed.returncode == 0, resumed.stderr
    assert "last.pt cannot be read as a checkpoint" in resumed.stdout
    assert "going on from best.pt" in resumed.stdout
    assert same(weights(broken), weights(tmp_path / "unbroken"))
    assert untimed(broken) == untimed(tmp_path / "unbroken")


def test_a_loss_that_explodes_fails_with_its_reason(command, quick, runs):
    done = command("train", *quick, "optimizer=sgd", "optimizer.lr=1e30", "trainer.epochs=3", "scheduler=constant")
    assert done.returncode == 1
    assert "stopped being finite at step" in done.stderr
    assert "learning rate 1e+30" in done.stderr
    assert "Traceback" not in done.stderr
    (folder,) = runs()
    assert summary(folder)["status"] == "failed"
    assert "stopped being finite" in summary(folder)["error"]


def test_runs_that_start_together_get_folders_of_their_own(quick, tmp_path, runs):
    arguments = [*quick, "trainer.max_steps=1"]
    processes = [start(tmp_path, *arguments) for _ in range(2)]
    for process in processes:
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr
    assert len(runs()) == 2


def test_a_finished_run_is_never_overwritten(command, quick, tmp_path):
    arguments = [*quick, "trainer.max_steps=1", "hydra.run.dir=mine"]
    assert command("train", *arguments).returncode == 0
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "mine").rglob("*")}
    done = command("train", *arguments)
    assert done.returncode == 1
    assert "mine holds a run already, and a run is never overwritten" in done.stderr
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "mine").rglob("*")} == before


@pytest.mark.faults
def test_a_folder_that_cannot_be_written_is_named(command, quick):
    done = command("train", *quick, "hydra.run.dir=/proc/self/run")
    assert done.returncode == 1
    assert "/proc/self/run" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 400 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", folder], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("only root can make a small disk")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.faults
def test_a_full_disk_ends_the_run_and_loses_nothing_that_was_there(command, quick, small_disk):
    done = command("train", *quick, "model.embed_dim=48", "trainer.epochs=3", f"hydra.run.dir={small_disk}/run")
    assert done.returncode == 1
    assert "No space left" in done.stderr or "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(small_disk.glob("run/checkpoints/*.tmp"))
    for checkpoint in small_disk.glob("run/checkpoints/*.pt"):
        read(checkpoint)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model.mlp._target_=os.system"], "model.mlp._target_=os.system is not in the allowed packages"),
        (["+model.mlp.width=3"], "model.mlp.width is no setting of this part"),
        (["model/pool=cls", "model.class_token=false"], "model: pool=cls needs class_token=true"),
        (["data=image_folder", "data.root=nowhere"], "nowhere is not a folder; it must hold train/"),
        (["trainer.device=tpu"], "device=tpu is not known"),
        (["data.num_classes=7"], "num_classes=7, but the images have 10 classes"),
        (["scheduler=one_cycle", "scheduler.start=0"], "scheduler.start=0 is not allowed: it divides"),
        (
            ["scheduler.floor=abc"],
            "scheduler.floor=abc is not allowed: a share of the learning rate lies in 0 <= share <= 1",
        ),
        (["optimizer=muon", "optimizer.ns_steps=1000"], "optimizer.ns_steps=1000 is not a whole number from 1 to 99"),
        (["optimizer=sgd", "optimizer.nesterov=perhaps"], "optimizer.nesterov=perhaps is neither true nor false"),
        (["trainer.limit_batches=0"], "trainer.limit_batches=0"),
        (["optimizer.betas=[0.9,2.0]"], "optimizer: Invalid beta parameter"),
    ],
)
def test_what_a_part_refuses_is_one_message(command, quick, arguments, message):
    done = command("train", *quick, *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_download_that_fails_says_what_to_put_where(command, quick, runs):
    closed = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    done = command("train", *quick, "data=cifar10", "data.root=pictures", env=closed)
    assert done.returncode == 1
    assert "put cifar-10-python.tar.gz (or cifar-10-batches-py/) into" in done.stderr
    assert "Traceback" not in done.stderr
    (folder,) = runs()
    assert summary(folder)["status"] == "failed"


def test_a_part_of_one_s_own_is_used_once_it_is_allowed(command, quick, tmp_path):
    (tmp_path / "my_lab.py").write_text(
        "from torch import nn\n"
        "class Linear(nn.Linear):\n"
        "    def __init__(self, embed_dim, hidden_dim, layout, mlp_drop):\n"
        "        super().__init__(embed_dim, embed_dim)\n"
    )
    arguments = [*quick, "model.mlp._target_=my_lab.Linear", "trainer.max_steps=1"]
    refused = command("train", *arguments)
    assert "allow_targets=[my_package]" in refused.stderr
    done = command("train", *arguments, "allow_targets=[my_lab]", "hydra.run.dir=mine")
    assert done.returncode == 0, done.stderr
    stranger = command("evaluate", "run=mine")
    assert stranger.returncode == 1
    assert "model.mlp._target_=my_lab.Linear is not in the allowed packages" in stranger.stderr
    assert command("evaluate", "run=mine", "allow_targets=[my_lab]").returncode == 0


@pytest.fixture
def pictures(tmp_path):
    """A folder of 32 px pictures in ten classes, as CIFAR-10 has them."""
    draw = np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 2)):
        for name in range(10):
            folder = tmp_path / "pictures" / split / str(name)
            folder.mkdir(parents=True)
            for number in range(count):
                array = draw.integers(0, 256, (32, 32, 3)).astype(np.uint8)
                Image.fromarray(array).save(folder / f"{number}.png")
    return tmp_path / "pictures"


def test_a_folder_of_pictures_is_counted_and_trained_on(command, quick, pictures, runs):
    done = command("train", *quick, "data=image_folder_32", f"data.root={pictures}", "trainer.max_steps=2")
    assert done.returncode == 0, done.stderr
    (folder,) = runs()
    assert OmegaConf.load(folder / "config.yaml").model.num_classes == 10
    assert command("evaluate", f"run={folder}").returncode == 0
    (pictures / "test" / "3" / "0.png").write_bytes((pictures / "test" / "4" / "0.png").read_bytes())
    changed = command("evaluate", f"run={folder}")
    assert "was trained on other data: images/test changed" in changed.stderr


def test_a_run_that_was_killed_before_it_had_a_config_can_be_started_again(command, quick, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "summary.json").write_text('{"status": "running"}')
    done = command("train", *quick, "trainer.max_steps=1", "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    again = command("train", *quick, "trainer.max_steps=1", "hydra.run.dir=run")
    assert again.returncode == 1
    assert "holds a run already" in again.stderr


def test_every_experiment_is_tried_below():
    assert {path.stem for path in (conf_dir() / "experiment").glob("*.yaml")} == set(EXPERIMENTS)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_runs_a_step(command, pictures, experiment):
    parameters, settings = EXPERIMENTS[experiment]
    from_folder = [
        "data.source._target_=vitlab.data.image_folder.ImageFolder",
        "~data.source.name",
        "~data.source.download",
        f"data.root={pictures}",
    ]
    short = ["trainer.max_steps=1", "trainer.batch_size=16", "tracker=none", "trainer.device=cpu"]
    if "cifar10" in "".join([experiment, *settings]):
        short += from_folder
    elif experiment == "vit_s16_imagenet":
        short += [f"data.root={pictures}", "scheduler.warmup=0 steps", "data.num_workers=0"]
    if experiment == "finetune":
        of_another = command("train", *settings[:-1], *short, "hydra.run.dir=other", "model.patch_size=8")
        assert of_another.returncode == 0, of_another.stderr
        settings = [*settings[:-1], "model.weights=other/checkpoints/best.pt", "model.allow_mismatch=true"]
    done = command("train", f"experiment={experiment}", *settings, *short)
    assert done.returncode == 0, done.stderr
    assert f"{parameters:,} parameters" in done.stdout


def test_the_quickstart_reaches_its_accuracy(command, runs):
    done = command("train", "experiment=quickstart", "tracker=none", timeout=500)
    assert done.returncode == 0, done.stderr
    (folder,) = runs()
    assert summary(folder)["test_accuracy"] >= 0.98


def test_a_built_wheel_works_in_another_folder(tmp_path, request):
    house = request.config.rootpath
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", tmp_path, house]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("vitlab-*.whl")
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "-q", "--target", site, wheel]
    subprocess.run(install, check=True, capture_output=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    def run(*arguments):
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=elsewhere,
            env={**os.environ, "PYTHONPATH": str(site)},
            capture_output=True,
            text=True,
        )

    where = run("-c", "from vitlab.config.compose import conf_dir; print(conf_dir())")
    assert where.stdout.strip() == str(site / "vitlab" / "conf")
    shown = run("-m", "vitlab.train", "model=vit_small", "data=cifar10", "--cfg", "job")
    assert shown.returncode == 0, shown.stderr
    assert "embed_dim: 384" in shown.stdout


def test_the_console_script_completes_names(tmp_path):
    script = Path(sys.executable).with_name("vitlab-train")
    done = subprocess.run(
        [script, "-sc", "query=bash"],
        cwd=tmp_path,
        env={**os.environ, "COMP_LINE": "vitlab-train model=vit_s", "COMP_POINT": "24"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["model=vit_seed", "model=vit_small"]

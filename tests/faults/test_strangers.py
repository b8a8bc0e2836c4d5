"""Files from somebody else that would run code, leave their folder or speak markup, given to every command."""

import hashlib
import io
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tarfile
import time

import psutil
import pytest
import torch
from omegaconf import OmegaConf

from vitlab.engine.seal import seal

pytestmark = pytest.mark.faults


class Bomb:
    """What a pickle of it does when it is read: it leaves a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch '{self.path}'",)


@pytest.fixture
def hacked(tmp_path):
    """The file that any code of a stranger would leave."""
    return tmp_path / "hacked"


@pytest.fixture(scope="module")
def own_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stranger")
    settings = ["model.depth=1", "model.embed_dim=16", "model.num_heads=2", "tracker=none", "trainer.device=cpu"]
    command = [sys.executable, "-m", "vitlab.train", *settings, "trainer.max_steps=1", "hydra.run.dir=run"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return folder / "run"


@pytest.fixture
def run(own_run, tmp_path):
    """A copy of the run's folder, to be made hostile."""
    return shutil.copytree(own_run, tmp_path / "run")


def stopped(run):
    """As if it had been stopped, so that it can be resumed."""
    (run / "summary.json").write_text('{"status": "interrupted"}')


COMMANDS = {
    "train": ["resume=run"],
    "evaluate": ["run=run"],
    "export": ["run=run"],
    "reproduce": ["run=run"],
    "sync": ["run=run"],
    "compare": ["run", "run"],
}
WAYS = {
    "itself": lambda system: system,
    "nested": lambda system: {"_target_": "torch.nn.Identity", "x": {"y": system}},
    "in a list": lambda system: {"_target_": "torch.nn.Identity", "x": [1, [system]]},
    "in _args_": lambda system: {"_target_": "torch.nn.Sequential", "_args_": [system]},
    "behind an interpolation": lambda system: {**system, "_target_": "${hidden}"},
    "in a partial": lambda system: {"_target_": "functools.partial", "_args_": [system]},
}
# What a command does not build it does not call either.
BUILT = [("model.mlp", "evaluate"), ("model.mlp", "export"), ("optimizer", "train"), ("optimizer", "reproduce")]
BUILT += [("data.source", "train"), ("data.source", "evaluate"), ("tracker", "train")]


@pytest.mark.parametrize(
    ("key", "name", "way"), [*(("model.mlp", "train", way) for way in WAYS), *((*built, "nested") for built in BUILT)]
)
def test_no_target_of_a_strangers_config_is_called(command, run, hacked, key, name, way):
    if name == "train":
        stopped(run)
    system = {"_target_": "os.system", "_args_": [f"touch '{hacked}'"]}
    settings = OmegaConf.load(run / "config.yaml")
    OmegaConf.update(settings, key, WAYS[way](system), merge=False)
    settings.hidden = "os.system"
    settings.allow_targets = ["os", "functools"]
    OmegaConf.save(settings, run / "config.yaml")
    done = command(name, *COMMANDS[name])
    assert not hacked.exists()
    assert done.returncode == 1
    refusal = "holds nothing but values" if "interpolation" in way else "is not in the allowed packages"
    assert refusal in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("file", ["config.yaml", "overrides.yaml"])
def test_no_tag_of_yaml_is_obeyed(command, run, hacked, name, file):
    stopped(run)
    (run / file).write_text(f"a: !!python/object/apply:os.system [\"touch '{hacked}'\"]\n")
    done = command(name, *COMMANDS[name])
    assert not hacked.exists()
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("sealed", [True, False])
def test_no_checkpoint_is_unpickled(command, run, hacked, name, sealed):
    if name == "train":
        stopped(run)
    for checkpoint in ("last.pt", "best.pt"):
        with (run / "checkpoints" / checkpoint).open("w+b") as file:
            torch.save({"step": 1, "model": Bomb(hacked), "ema": None}, file)
            if sealed:
                seal(file)
    done = command(name, *COMMANDS[name])
    assert not hacked.exists()
    assert "Traceback" not in done.stderr
    if name in ("train", "evaluate", "export"):
        assert done.returncode == 1
        assert "cannot be read as a checkpoint" in done.stderr


def test_no_pickle_beside_the_shards_is_read(command, run, hacked):
    stopped(run)
    folder = run / "checkpoints" / "last.shards-1"
    folder.mkdir()
    (folder / ".metadata").write_bytes(pickle.dumps(Bomb(hacked)))
    (folder / "shard.safetensors").write_bytes(pickle.dumps(Bomb(hacked)))
    checksums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    state = torch.load(run / "checkpoints" / "last.pt", weights_only=True)
    with (run / "checkpoints" / "last.pt").open("w+b") as sealed:
        torch.save({**state, "shards": {"folder": folder.name, "files": checksums}}, sealed)
        seal(sealed)
    done = command("train", "resume=run")
    assert not hacked.exists()
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_no_pickle_that_calls_itself_a_data_set_is_read(command, quick, tmp_path, hacked):
    folder = tmp_path / "pictures" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name in (
        "data_batch_1",
        "data_batch_2",
        "data_batch_3",
        "data_batch_4",
        "data_batch_5",
        "test_batch",
        "batches.meta",
    ):
        (folder / name).write_bytes(pickle.dumps(Bomb(hacked)))
    (tmp_path / "pictures" / "MNIST" / "processed").mkdir(parents=True)
    for name in ("training.pt", "test.pt"):
        torch.save(Bomb(hacked), tmp_path / "pictures" / "MNIST" / "processed" / name)
    for data in ("cifar10", "mnist"):
        done = command("train", *quick, f"data={data}", "data.root=pictures", "data.source.download=false")
        assert done.returncode == 1
        assert f"data.root={tmp_path}/pictures" in done.stderr
        assert "Traceback" not in done.stderr
    assert not hacked.exists()


def test_no_archive_is_unpacked_that_is_not_the_one_it_says_it_is(command, quick, tmp_path, hacked):
    (tmp_path / "pictures").mkdir()
    with tarfile.open(tmp_path / "pictures" / "cifar-10-python.tar.gz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("../hacked"), io.BytesIO(b""))
    closed = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    done = command("train", *quick, "data=cifar10", "data.root=pictures", env=closed)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert not hacked.exists()


def test_a_checkpoint_that_says_it_is_of_another_size_is_refused_before_it_is_put_together(command, run):
    for name in ("last.pt", "best.pt"):
        state = torch.load(run / "checkpoints" / name, weights_only=True)
        state["model"] = {
            key: torch.zeros(1).expand(10**6, 10**6) for key in state["model"]
        }  # four bytes, said to be many
        with (run / "checkpoints" / name).open("w+b") as file:
            torch.save(state, file)
            seal(file)
    for name in ("evaluate", "export", "train"):
        if name == "train":
            stopped(run)
        done = command(name, *COMMANDS[name])
        assert done.returncode == 1
        assert "another architecture" in done.stderr
        assert "Traceback" not in done.stderr


def test_classes_and_names_of_runs_are_no_markup(command, run, tmp_path):
    evil = "<script>document.title='hacked'</script>"
    provenance = json.loads((run / "provenance.json").read_text())
    (run / "provenance.json").write_text(json.dumps({**provenance, "class_names": [evil] * 10}))
    (run / "overrides.yaml").write_text(json.dumps([f"+x={evil}"]))
    settings = OmegaConf.load(run / "config.yaml")
    OmegaConf.update(settings, "optimizer.name", evil, force_add=True)
    OmegaConf.save(settings, run / "config.yaml")
    shutil.copytree(run, tmp_path / "other" / "<img src=x onerror=alert(1)>")
    done = command("compare", "run", "other", "--output=report")
    pages = list(tmp_path.glob("**/*.html"))
    assert done.returncode == 0, done.stderr
    assert pages
    for page in pages:
        text = page.read_text()
        assert evil not in text
        assert "<img src=x" not in text


@pytest.mark.slow
def test_nothing_listens_on_a_socket(tmp_path, quick):
    command = [sys.executable, "-m", "vitlab.train", *quick, "trainer.epochs=1000", "hydra.run.dir=run"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
    while not (tmp_path / "run" / "metrics.jsonl").exists():
        assert process.poll() is None
        time.sleep(0.02)
    own = psutil.Process(process.pid)
    listening = [
        connection
        for one in (own, *own.children(recursive=True))
        for connection in one.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    process.send_signal(signal.SIGTERM)
    process.wait()
    assert listening == []

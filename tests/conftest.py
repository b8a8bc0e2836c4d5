"""What tests share: composed configs, commands in processes of their own, and isolation from the user's accounts."""

import os
import re
import shutil
import subprocess
import sys

import hydra
import pytest
import torch
import warm

from vitlab.config.compose import HYDRA_VERSION_BASE, conf_dir, register_resolvers

pytest_plugins = ["data_sets", "finished_runs", "side_by_side", "slurm_cluster"]

torch.set_num_threads(1)  # as many test processes run side by side as there are cores


def pytest_make_parametrize_id(val):
    """Settings are named by what they say; not by where a function lies, which is another place in each process."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(val)) if isinstance(val, dict) or callable(val) else None


@pytest.fixture(autouse=True)
def no_accounts(monkeypatch, tmp_path_factory):
    """No test may find the user's keys, or reach for the real W&B."""
    home = tmp_path_factory.getbasetemp() / "home"
    home.mkdir(exist_ok=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("WANDB_MODE", "offline")
    for name in ("WANDB_API_KEY", "WANDB_BASE_URL", "HYDRA_FULL_ERROR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def compose():
    """``compose(overrides, name="train")``: a config composed as the command line composes it."""
    register_resolvers()

    def composed(overrides=(), name="train"):
        with hydra.initialize_config_dir(str(conf_dir()), version_base=HYDRA_VERSION_BASE):
            return hydra.compose(name, list(overrides))

    return composed


@pytest.fixture
def command(tmp_path):
    """``command("train", "model.depth=1", ...)``: a command in a process of its own, in an empty folder."""

    def run(name, *arguments, cwd=tmp_path, env=None, timeout=300):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **(env or {})}
        return warm.run(f"vitlab.{name}", arguments, cwd, environment, timeout)

    return run


@pytest.fixture
def cold_command(tmp_path):
    """The same in an interpreter of its own, for tests of what one imports."""

    def run(name, *arguments, env=None):
        return subprocess.run(
            [sys.executable, "-m", f"vitlab.{name}", *arguments],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})},
            capture_output=True,
            text=True,
            timeout=300,
            stdin=subprocess.DEVNULL,
        )

    return run


QUICK = ("model.depth=1", "model.embed_dim=16", "model.num_heads=2", "tracker=none", "trainer.device=cpu")


@pytest.fixture
def quick():
    """Overrides that make a run a matter of a second."""
    return QUICK


@pytest.fixture(scope="session")
def _digits_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    arguments = [*QUICK, "trainer.epochs=3", "hydra.run.dir=run"]
    done = warm.run("vitlab.train", arguments, folder, {**os.environ, "OMP_NUM_THREADS": "1"}, 300)
    assert done.returncode == 0, done.stderr
    return folder / "run"


@pytest.fixture
def digits_run(_digits_run, tmp_path):
    """A finished run of three epochs, trained once and copied into the folder ``run``."""
    return shutil.copytree(_digits_run, tmp_path / "run")


@pytest.fixture
def runs(tmp_path):
    """``runs()``: the run folders that commands have left in the empty folder."""

    def found(parent="outputs"):
        return sorted(path.parent for path in (tmp_path / parent).glob("**/summary.json"))

    return found


@pytest.fixture
def make_vit():
    """``make_vit(depth=2, ...)``: a small ViT of the default parts, or of others by name."""
    from vitlab.models.attention.full import Attention
    from vitlab.models.block import PreNormBlock
    from vitlab.models.init import trunc_normal
    from vitlab.models.mlp import GeluMlp
    from vitlab.models.norm import LayerNorm
    from vitlab.models.patch_embed.plain import ConvPatchEmbed
    from vitlab.models.pool import ClsPool
    from vitlab.models.position.absolute import LearnedPosition
    from vitlab.models.vit import ViT

    sizes = {"image_size": 8, "channels": 3, "num_classes": 5, "patch_size": 2, "embed_dim": 24, "depth": 2}
    parts = {
        "patch_embed": ConvPatchEmbed,
        "position": LearnedPosition,
        "attention": Attention,
        "mlp": GeluMlp,
        "norm": LayerNorm,
        "block": PreNormBlock,
        "pool": ClsPool,
        "init": trunc_normal,
    }

    def make(**settings):
        return ViT(**{**sizes, "num_heads": 3, **parts, **settings})

    return make

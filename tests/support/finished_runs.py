"""Finished runs as folders, made by hand."""

import json
from pathlib import Path

import pytest
import yaml

from vitlab.comparison.comparing import compare
from vitlab.comparison.loading import load

CONFIG = {
    "seed": 0,
    "resume": None,
    "tracker": {"project": "vitlab", "entity": None},
    "data": {"image_size": 8, "num_classes": 10, "root": "/data"},
    "model": {"depth": 4, "patch_size": 2, "attention": {"_target_": "full"}},
    "optimizer": {"lr": 0.001},
    "trainer": {"epochs": 2, "device": "cpu"},
}


@pytest.fixture
def make_run(tmp_path):
    """``make_run("name", accuracy, **{"model.depth": 8}, typed=[...])``: a folder as a run leaves it."""

    def made(name, accuracy, typed=None, status="done", parent=tmp_path / "sweep", **settings):
        folder = Path(parent) / name
        folder.mkdir(parents=True)
        config = json.loads(json.dumps(CONFIG))
        for key, value in settings.items():
            *path, last = key.split(".")
            node = config
            for part in path:
                node = node.setdefault(part, {})
            node[last] = value
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        overrides = [f"{key}={value}" for key, value in settings.items()] if typed is None else typed
        (folder / "overrides.yaml").write_text(yaml.safe_dump(overrides))
        depth = config["model"]["depth"]
        summary = {"status": status, "val_accuracy": accuracy, "test_accuracy": accuracy, "seconds": 10.0 * depth}
        summary |= {"parameters": 1000 * depth, "flops_per_image": 5000 * depth, "val_loss": 1 - (accuracy or 0)}
        (folder / "summary.json").write_text(json.dumps(summary))
        rows = [
            {
                "step": 10 * n,
                "epoch": n,
                "images_seen": 640 * n,
                "seconds": n,
                "val/accuracy": accuracy,
                "val/loss": 0.5 / n,
            }
            for n in (1, 2)
        ]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return folder

    return made


@pytest.fixture
def sweep(make_run, tmp_path):
    """``sweep({(4, 2): [0.9, 0.91]})``: runs of depth and patch size, one for each seed; the loaded comparison."""

    def made(accuracies, metric="val_accuracy", method="t"):
        for (depth, patch), of_seeds in accuracies.items():
            for seed, accuracy in enumerate(of_seeds):
                settings = {"model.depth": depth, "model.patch_size": patch, "seed": seed}
                make_run(f"{depth}-{patch}-{seed}", accuracy, **settings)
        return compare(load([tmp_path / "sweep"]), metric, method)

    return made

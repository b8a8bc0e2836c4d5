"""The plan of the house: what lies where, who may import whom, and that every file has its test."""

import ast
from pathlib import Path

import pytest
import yaml

HOUSE = Path(__file__).parents[1]
SOURCES = sorted((HOUSE / "vitlab").glob("**/*.py"))
GROUP_PACKAGES = {
    "model": "vitlab.models",
    "data": "vitlab.data",
    "augment": "vitlab.augment",
    "objective": "vitlab.objectives",
    "optimizer": "vitlab.optim",
    "scheduler": "vitlab.optim",
    "trainer": "vitlab.engine",
    "tracker": "vitlab.tracking",
}
FLOORS = [
    {"errors", "duration", "runs", "provenance", "config", "pictures"},
    {"models", "data", "augment", "objectives", "optim"},
    {"engine", "tracking"},
    {"analysis", "exports", "evaluation", "trained"},
    {"comparison", "teacher"},
    {"assembly"},
    {"sweeps"},
    {"train", "evaluate", "explain", "export", "compare", "predict", "api"},
    {"plan", "verify_resume", "reproduce", "sync"},
]
PARTS_MAY_USE = "duration"


def package(path):
    """``engine`` for vitlab/engine/trainer.py, ``errors`` for vitlab/errors.py."""
    return path.relative_to(HOUSE / "vitlab").parts[0].removesuffix(".py")


def floor(name):
    return next(number for number, floor in enumerate(FLOORS) if name in floor)


def imported(path):
    """Packages of vitlab that a file imports, for types only included."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        yield from (name.split(".")[1] for name in names if name.startswith("vitlab."))


@pytest.mark.parametrize("path", [p for p in SOURCES if p.name != "__init__.py"], ids=str)
def test_imports_go_down_only_and_never_sideways(path):
    own = package(path)
    for other in set(imported(path)) - {own, "__version__"}:
        if floor(own) == 0:
            assert floor(other) == 0
        elif floor(own) == 1:
            assert other == PARTS_MAY_USE, f"{own} is a leaf and imports {other}"
        else:
            assert floor(other) < floor(own), f"{own} imports {other}"


def test_every_package_has_its_floor():
    assert {package(p) for p in SOURCES} - {"__init__"} == set().union(*FLOORS)


@pytest.mark.parametrize("path", [p for p in SOURCES if package(p) in FLOORS[0]], ids=str)
def test_the_ground_imports_no_torch(path):
    names = {
        alias.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert not [name for name in names if name and name.split(".")[0] in ("torch", "torchvision", "wandb")]


@pytest.mark.parametrize("path", [p for p in SOURCES if p.name != "__init__.py"], ids=str)
def test_every_source_file_has_its_test_file(path):
    inside = path.relative_to(HOUSE / "vitlab")
    assert (HOUSE / "tests" / inside.parent / f"test_{inside.name}").is_file()


def targets(node):
    if isinstance(node, dict):
        if "_target_" in node:
            yield node["_target_"]
        for child in node.values():
            yield from targets(child)
    elif isinstance(node, list):
        for child in node:
            yield from targets(child)


@pytest.mark.parametrize("group", GROUP_PACKAGES)
def test_every_target_of_a_group_lies_in_its_package_or_in_torch(group):
    files = sorted((HOUSE / "conf" / group).glob("**/*.yaml"))
    assert files
    for path in files:
        for target in targets(yaml.safe_load(path.read_text())):
            assert target.startswith((f"{GROUP_PACKAGES[group]}.", "torch.", "torchvision.")), path

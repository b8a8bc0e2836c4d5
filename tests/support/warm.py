"""Commands in processes that are forked from one that has torch and vitlab imported already."""

import os
import runpy
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

PRELOADED = [
    *("torch", "torchvision.datasets", "torchmetrics", "sklearn", "scipy.stats", "scipy.optimize", "hydra", "wandb"),
    *("matplotlib.figure", "plotly.graph_objects", "rich.table", "vitlab.assembly", "vitlab.data.image_data"),
    *("vitlab.models.vit", "vitlab.sweeps.plan", "vitlab.sweeps.launch", "vitlab.comparison.report"),
    *("vitlab.evaluation.report", "vitlab.evaluation.robustness"),
]


def start(
    module: str, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], out: Path, err: Path
) -> BaseProcess:
    """Begin ``python -m module arguments`` in ``folder``; what it prints goes to the files ``out`` and ``err``.

    Args:
        module: a command, as ``vitlab.train``.
        arguments: what would be typed.
        folder: the working directory.
        environment: all of its variables.
        out, err: files; one may be both.
    """
    context: Any = get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    target = (module, list(arguments), str(folder), dict(environment), str(out), str(err))
    process: BaseProcess = context.Process(target=_command, args=target)
    process.start()
    return process


def run(
    module: str, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], timeout: float
) -> "subprocess.CompletedProcess[str]":
    """Run ``python -m module arguments`` in ``folder``, as ``subprocess.run`` would.

    Raises:
        subprocess.TimeoutExpired: it took too long, and was killed.
    """
    with TemporaryDirectory() as kept:
        out, err = Path(kept, "out"), Path(kept, "err")
        process = start(module, arguments, folder, environment, out, err)
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired([module, *arguments], timeout, _text(out), _text(err))
        return subprocess.CompletedProcess([module, *arguments], process.exitcode, _text(out), _text(err))


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""


def _command(module: str, arguments: list[str], folder: str, environment: dict[str, str], out: str, err: str) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    _threads(environment)
    sys.path.insert(0, folder)
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit:
        raise
    except BaseException:
        traceback.print_exc()
        sys.exit(1)


def _threads(environment: Mapping[str, str]) -> None:
    """What torch reads when it is imported, which it was before."""
    import torch

    if "OMP_NUM_THREADS" in environment:
        torch.set_num_threads(int(environment["OMP_NUM_THREADS"]))

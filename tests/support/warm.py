"""Commands in processes that are forked from one that has torch and vitlab imported already."""

import os
import runpy
import sys
import traceback
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

CONSOLE = "console.txt"
PRELOADED = [
    *("torch", "torchvision.datasets", "torchmetrics", "sklearn", "scipy.stats", "scipy.optimize", "hydra", "wandb"),
    *("matplotlib.figure", "plotly.graph_objects", "rich.table", "vitlab.assembly", "vitlab.data.image_data"),
    *("vitlab.models.vit", "vitlab.sweeps.plan", "vitlab.sweeps.launch", "vitlab.comparison.report"),
    *("vitlab.evaluation.report", "vitlab.evaluation.robustness"),
]


def context() -> Any:
    """The context that forks them."""
    forking = get_context("forkserver")
    forking.set_forkserver_preload(PRELOADED)
    return forking


def start(module: str, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> BaseProcess:
    """Begin ``python -m module arguments`` in ``folder``; what it says goes to ``console.txt`` there."""
    target = (module, list(arguments), str(folder), dict(environment))
    process: BaseProcess = context().Process(target=_command, args=target)
    process.start()
    return process


def run(
    module: str, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], timeout: float
) -> tuple[int | None, str]:
    """Run ``python -m module arguments`` in ``folder``; its exit code, None if it took too long, and what it said."""
    process = start(module, arguments, folder, environment)
    process.join(timeout)
    code = process.exitcode
    if code is None:
        process.kill()
        process.join()
    return code, (folder / CONSOLE).read_text(errors="replace")


def _command(module: str, arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    os.chdir(folder)
    os.environ.update(environment)
    sys.path.insert(0, "")
    file = os.open(CONSOLE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number in (1, 2):
        os.dup2(file, number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit:
        raise
    except BaseException:
        traceback.print_exc()
        sys.exit(70)

"""``python -m benchmarks.startup``: from the command to its answer, each in a process of its own, in turns.

The peers are what their scripts import before they read the command line; whatever else they do is left out, and so is
Lightning, to their advantage.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from statistics import median

from benchmarks.side_by_side import in_turns, machine, times_faster, write

_ROUNDS = 9
_STEP = (
    "m = torch.nn.Linear(2, 2); o = torch.optim.AdamW(m.parameters()); m(torch.ones(1, 2)).sum().backward(); o.step()"
)
_COMMANDS = {
    "vitlab.train --help": ["-m", "vitlab.train", "--help"],
    "vitlab.train --cfg job": ["-m", "vitlab.train", "--cfg", "job"],
    "imports of lightning-hydra-template without Lightning": ["-c", "import hydra, torch, torchvision, torchmetrics"],
    "imports of timm's train.py": [
        "-c",
        "import torch, torchvision.utils, yaml, timm.data, timm.layers, timm.loss, timm.models, timm.optim",
    ],
    "import torch": ["-c", "import torch"],
    "import torch, one step of AdamW": ["-c", f"import torch; {_STEP}"],
    "vitlab.train trainer.max_steps=1": ["-m", "vitlab.train", "trainer.max_steps=1", "tracker=none"],
}


def main() -> None:
    """Measure and write the table."""
    with tempfile.TemporaryDirectory() as folder:
        times = in_turns({name: _command(arguments, folder) for name, arguments in _COMMANDS.items()}, _ROUNDS)
    bare = times["import torch"]
    lines = [
        f"{machine()}; median of {_ROUNDS} rounds in turns",
        "",
        "| command | seconds | in units of `import torch` |",
    ]
    lines += ["|---|---|---|"]
    lines += [f"| {name} | {median(took):.2f} | {times_faster(took, bare):.2f} |" for name, took in times.items()]
    ours, least = times["vitlab.train trainer.max_steps=1"], times["import torch, one step of AdamW"]
    lines += [
        "",
        "The last is a whole run of digits: it reads them, builds the ViT, counts its FLOPs, trains one step,",
        f"validates, saves and tests: {times_faster(ours, least):.2f} times as long as the line before it. The",
        "first step of any optimizer imports torch's compiler, whether it is used or not.",
    ]
    write("startup", "\n".join(lines))


def _command(arguments: list[str], folder: str) -> Callable[[], object]:
    return partial(subprocess.run, [sys.executable, *arguments], cwd=folder, check=True, capture_output=True)


if __name__ == "__main__":
    main()

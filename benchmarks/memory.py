"""``python -m benchmarks.memory``: the most memory that a training step takes, vitlab against timm.

ViT-S/16 at 224 px, batch 64, forward, backward, AdamW; each in a process of its own. On a CPU (float32) what the kernel
counts as the height of the process, less what it held before the step; on a GPU (bf16) what torch allocated at most.
The allocator is told to hand back what is freed: left to itself glibc keeps it, and the same step of the same model
takes 300 or 1,000 MiB by how the holes happen to lie.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks import peers
from benchmarks.side_by_side import machine, write

_BATCH = 64
HANDS_BACK = {"MALLOC_MMAP_THRESHOLD_": str(2**20)}  # a fixed one also ends its growing by itself


def main() -> None:
    """Measure and write the table, or measure the one that is named."""
    if len(sys.argv) > 1:
        print(_peak(_MODELS[sys.argv[1]]()))
        return
    peaks = {name: _of_a_process(name) for name in _MODELS}
    lines = [f"{machine()}; {peers.versions()}", "", "| model | MiB | in units of timm |", "|---|---|---|"]
    lines += [f"| {name} | {peak / 2**20:,.0f} | {peak / peaks['timm']:.2f} |" for name, peak in peaks.items()]
    write("memory", "\n".join(lines))


def _of_a_process(name: str) -> int:
    command = [sys.executable, "-m", "benchmarks.memory", name]
    return int(subprocess.check_output(command, env={**os.environ, **HANDS_BACK}))


def _peak(model: nn.Module) -> int:
    """Bytes that one step takes beyond what model and images hold."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    images = torch.randn(_BATCH, 3, 224, 224, device=device)
    labels = torch.zeros(_BATCH, dtype=torch.int64, device=device)
    _step(model, optimizer, images[:1], labels[:1])  # what is set up once, and the optimizer's state
    before = held_now()
    _step(model, optimizer, images, labels)
    return height_of() - before


def _step(model: nn.Module, optimizer: torch.optim.Optimizer, images: torch.Tensor, labels: torch.Tensor) -> None:
    with torch.autocast(images.device.type, torch.bfloat16, enabled=images.device.type == "cuda"):
        loss = F.cross_entropy(model(images), labels)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def held_now() -> int:
    """Bytes that the process holds, or torch on a GPU."""
    return torch.cuda.memory_allocated() if torch.cuda.is_available() else _of_the_kernel("VmRSS")


def height_of() -> int:
    """Bytes that it held at most so far."""
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else _of_the_kernel("VmHWM")


def _of_the_kernel(entry: str) -> int:
    found = re.search(rf"{entry}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


def _anew(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    def made() -> nn.Module:
        model = make()
        model.grad_checkpointing = True  # timm's own switch sets the same
        return model

    return made


_MODELS: dict[str, Callable[[], nn.Module]] = {
    "timm": lambda: peers.timm(peers.SMALL_224),
    "vitlab": lambda: peers.vitlab(peers.SMALL_224),
    "timm, blocks computed anew": _anew(lambda: peers.timm(peers.SMALL_224)),
    "vitlab, blocks computed anew": _anew(lambda: peers.vitlab(peers.SMALL_224)),
}


if __name__ == "__main__":
    main()

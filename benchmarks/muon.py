"""``python -m benchmarks.muon``: a step of Muon over the matrices of a ViT, ours and torch's, in turns.

Torch's multiplies in bfloat16, one matrix at a time; ours all of one shape at once, on a CPU in float32. Which of the
two makes the difference, torch's own steps with float32 in place of bfloat16 tell.
"""

from statistics import median
from unittest.mock import patch

import torch
from torch import nn

from benchmarks.side_by_side import in_turns, machine, times_faster, write
from vitlab.optim.muon import Muon

_SIZES = ((64, 4), (160, 2))  # width and depth
_ROUNDS = 9


def main() -> None:
    """Measure on the best device there is and write the table."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    lines = [machine(), "", f"Median of {_ROUNDS} rounds in turns; qkv, projection and MLP of four times the width", ""]
    lines += ["| width | depth | torch's, ms | torch's in float32, ms | ours, ms | faster by | by, in float32 |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for width, depth in _SIZES:
        theirs = torch.optim.Muon(_matrices(width, depth, device), adjust_lr_fn="match_rms_adamw")
        contestants = {
            "theirs": theirs.step,
            "in float32": patch.object(torch.Tensor, "bfloat16", torch.Tensor.float)(theirs.step),
            "ours": Muon(_matrices(width, depth, device)).step,
        }
        settle = torch.cuda.synchronize if device == "cuda" else lambda: None
        times = in_turns(contestants, _ROUNDS, settle)
        took = " | ".join(f"{1000 * median(seconds):,.1f}" for seconds in times.values())
        faster = [f"{times_faster(times[name], times['ours']):.1f}x" for name in ("theirs", "in float32")]
        lines.append(f"| {width} | {depth} | {took} | {' | '.join(faster)} |")
    write("muon", "\n".join(lines))


def _matrices(width: int, depth: int, device: str) -> list[nn.Parameter]:
    shapes = [(3 * width, width), (width, width), (4 * width, width), (width, 4 * width)] * depth
    matrices = [nn.Parameter(torch.randn(shape, device=device)) for shape in shapes]
    for matrix in matrices:
        matrix.grad = torch.randn_like(matrix)
    return matrices


if __name__ == "__main__":
    main()

"""``python -m benchmarks.width``: what ``init=mup`` does for sweeps over width and depth. Writes ``docs/width.png``.

The coordinate check: how far four steps on 64 digits, at one learning rate, move the output of the last block.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import mean

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from benchmarks.side_by_side import machine, written
from vitlab.analysis.coordinate_check import activation_changes, growth
from vitlab.models.attention.full import Attention
from vitlab.models.block import PreNormBlock
from vitlab.models.init import trunc_normal
from vitlab.models.mlp import GeluMlp
from vitlab.models.mup import mup
from vitlab.models.norm import LayerNorm
from vitlab.models.patch_embed.plain import ConvPatchEmbed
from vitlab.models.pool import MeanPool
from vitlab.models.position.absolute import LearnedPosition
from vitlab.models.vit import ViT

INITS: dict[str, Callable[[ViT], None]] = {"trunc_normal": trunc_normal, "mup": mup}
WIDTHS, DEPTHS, SEEDS = [32, 64, 128, 256, 512], [2, 4, 8, 16, 32], (0, 1)
STYLE = {"trunc_normal": ("#d55e00", "--"), "mup": ("#0072b2", "-")}  # colours that all eyes tell apart


def vit(width: int, depth: int, init: Callable[[ViT], None], seed: int) -> ViT:
    """A ViT for the digits, 4 heads."""
    torch.manual_seed(seed)
    parts = {"patch_embed": ConvPatchEmbed, "position": LearnedPosition, "attention": Attention, "mlp": GeluMlp}
    return ViT(8, 1, 10, 2, width, depth, 4, **parts, norm=LayerNorm, block=PreNormBlock, pool=MeanPool, init=init)


def digits() -> tuple[Tensor, Tensor]:
    """All digits, normalised, with their labels."""
    images, labels = load_digits(return_X_y=True)
    return (torch.tensor(images, dtype=torch.float32).view(-1, 1, 8, 8) - 4.9) / 6.0, torch.tensor(labels)


def change(width: int, depth: int, init: Callable[[ViT], None]) -> list[float]:
    """How far 4 steps move the output of the last block, for each seed."""
    images, labels = digits()
    makes = [partial(vit, width, depth, init, seed) for seed in SEEDS]
    return [activation_changes(make, images[:64], labels[:64], lr=1e-3)["blocks"] for make in makes]


def main() -> None:
    """Measure, print the tables and draw the picture."""
    print(f"{machine()}; mean of {len(SEEDS)} seeds (least–greatest)\n")
    figure, (by_width, by_depth) = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
    for axis, sizes, what in ((by_width, WIDTHS, "width"), (by_depth, DEPTHS, "depth")):
        print(f"\n| init | {' | '.join(f'{what} {size}' for size in sizes)} | exponent |")
        print("|---" * (len(sizes) + 2) + "|")
        for name, init in INITS.items():
            runs = [change(size, 4, init) if what == "width" else change(64, size, init) for size in sizes]
            changes = [mean(run) for run in runs]
            cells = " | ".join(f"{mean(run):.3f} ({min(run):.3f}–{max(run):.3f})" for run in runs)
            print(f"| {name} | {cells} | {growth(sizes, changes):+.2f} |", flush=True)
            colour, line = STYLE[name]
            axis.loglog(
                sizes,
                changes,
                line,
                color=colour,
                marker="o",
                label=f"{name}: {what}$^{{{growth(sizes, changes):.2f}}}$",
            )
        axis.set(xlabel=what, title=f"4 steps move the last block's output\nalike at every {what}, with mup")
        axis.set_xticks(sizes, sizes)
        axis.minorticks_off()
        axis.legend(frameon=False)
    by_width.set_ylabel("change of activation (root mean square)")

    figure.savefig(Path(__file__).parents[1] / "docs" / "width.png", dpi=110)


if __name__ == "__main__":
    with written("width"):
        main()

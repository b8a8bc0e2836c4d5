"""``python -m benchmarks.width``: what ``init=mup`` does for sweeps over width and depth. Writes ``docs/width.png``.

Left and middle: the coordinate check. Right: the loss of the bundled digits after 150 steps at each learning rate.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import mean

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional as F

from benchmarks.side_by_side import machine
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
from vitlab.optim.parameter_groups import apply_scales, parameter_groups

INITS: dict[str, Callable[[ViT], None]] = {"trunc_normal": trunc_normal, "mup": mup}
WIDTHS, DEPTHS, SEEDS = [32, 64, 128, 256, 512], [2, 4, 8, 16, 32], (0, 1)
SWEPT_WIDTHS, POWERS, STEPS = [32, 64, 128, 256], range(-11, -3), 150
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


def change(width: int, depth: int, init: Callable[[ViT], None]) -> float:
    """How far 4 steps move the output of the last block; mean of the seeds."""
    images, labels = digits()
    makes = [partial(vit, width, depth, init, seed) for seed in SEEDS]
    return mean(activation_changes(make, images[:64], labels[:64], lr=1e-3)["blocks"] for make in makes)


def loss(width: int, init: Callable[[ViT], None], lr: float, seed: int) -> float:
    """Training loss, mean of the last 10 of ``STEPS`` steps of 64 digits with Adam, the rate falling to zero."""
    images, labels = digits()
    model = vit(width, 4, init, seed)
    optimizer = torch.optim.Adam(parameter_groups(model), lr=lr)
    apply_scales(optimizer)
    draw, losses = torch.Generator().manual_seed(seed), []
    peaks = [group["lr"] for group in optimizer.param_groups]
    for step in range(STEPS):
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * (1 - step / STEPS)
        batch = torch.randint(len(images), (64,), generator=draw)
        value = F.cross_entropy(model(images[batch]), labels[batch])
        value.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(value.detach())
    return torch.stack(losses[-10:]).mean().item()


def main() -> None:
    """Measure, print the tables and draw the picture."""
    print(f"{machine()}; {len(SEEDS)} seeds\n")
    figure, (by_width, by_depth, by_rate) = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    for axis, sizes, what in ((by_width, WIDTHS, "width"), (by_depth, DEPTHS, "depth")):
        print(f"| init | {' | '.join(f'{what} {size}' for size in sizes)} | exponent |")
        print("|---" * (len(sizes) + 2) + "|")
        for name, init in INITS.items():
            changes = [change(size, 4, init) if what == "width" else change(64, size, init) for size in sizes]
            print(f"| {name} | {' | '.join(f'{c:.3f}' for c in changes)} | {growth(sizes, changes):+.2f} |", flush=True)
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

    print(f"\n| init | width | {' | '.join(f'lr 2^{power}' for power in POWERS)} | best |")
    print("|---" * (len(POWERS) + 3) + "|")
    for name, init in INITS.items():
        colour, line = STYLE[name]
        for number, width in enumerate(SWEPT_WIDTHS):
            curves = [[loss(width, init, 2.0**power, seed) for power in POWERS] for seed in SEEDS]
            losses = [mean(values) for values in zip(*curves, strict=True)]
            best = POWERS[losses.index(min(losses))]
            cells = " | ".join(f"{a:.2f} ({abs(b - c) / 2:.2f})" for a, b, c in zip(losses, *curves, strict=True))
            print(f"| {name} | {width} | {cells} | 2^{best} |", flush=True)
            shade = 0.35 + 0.65 * number / (len(SWEPT_WIDTHS) - 1)
            label = f"{name}, widths {SWEPT_WIDTHS[0]} to {width} (dark)" if shade == 1 else None
            rates = [2.0**power for power in POWERS]
            by_rate.plot(rates, losses, line, color=colour, alpha=shade, marker=".", label=label)
            by_rate.plot(2.0**best, min(losses), marker="v", color=colour, alpha=shade, markersize=9)
    by_rate.set_xscale("log", base=2)
    by_rate.set(xlabel="learning rate", ylabel=f"loss after {STEPS} steps")
    by_rate.set_title("the best rate (triangles) stays with mup\nand falls with the width without")
    by_rate.legend(frameon=False)
    figure.savefig(Path(__file__).parents[1] / "docs" / "width.png", dpi=110)


if __name__ == "__main__":
    main()

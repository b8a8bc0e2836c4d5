"""``python -m benchmarks.attention``: patterns of attention, as a mask over all tokens and by themselves.

Forward and backward of one attention, float32, on the CPU. Which way a part takes is decided by these figures.
"""

from functools import partial

import torch
from torch import Tensor

from benchmarks.side_by_side import machine, ratio, written
from vitlab.models.attention.full import Attention
from vitlab.models.attention.linear import LinearAttention
from vitlab.models.attention.patterns import LocalAttention
from vitlab.models.attention.window import WindowAttention
from vitlab.models.layout import TokenLayout

WIDTH, HEADS, BATCH = 192, 3, 16


def step(layer: torch.nn.Module, tokens: Tensor, masked: bool = False) -> None:
    """One forward and backward pass."""
    out = Attention.forward(layer, tokens) if masked else layer(tokens)
    out.square().mean().backward()


def main() -> None:
    """Print the table."""
    print(f"{machine()}; width {WIDTH}, {HEADS} heads, {BATCH} images; median of 9 rounds in turns\n")
    print("| grid | what | against | ratio |\n|---|---|---|---|")
    for side in (8, 14, 28):
        layout = TokenLayout((side, side), 1)
        tokens = torch.randn(BATCH, layout.num_tokens, WIDTH)
        size = {8: 4, 14: 7, 28: 7}[side]
        window = WindowAttention(WIDTH, HEADS, layout, window_size=size)
        window.by_window = True
        full = Attention(WIDTH, HEADS, layout)
        rows = [
            (f"window {size} by itself", "window as a mask", partial(step, window, tokens, True), window),
            (f"window {size} by itself", "full", partial(step, full, tokens), window),
            ("local 3 as a mask", "full", partial(step, full, tokens), LocalAttention(WIDTH, HEADS, layout)),
            ("linear", "full", partial(step, full, tokens), LinearAttention(WIDTH, HEADS, layout)),
        ]
        for what, against, baseline, layer in rows:
            _, _, faster = ratio(baseline, partial(step, layer, tokens))
            print(f"| {side} x {side} | {what} | {against} | {faster:.2f}x |", flush=True)


if __name__ == "__main__":
    with written("attention"):
        main()

"""``python -m benchmarks.drop_path``: stochastic depth, computed for the images that keep a branch or for all.

Forward and backward of one block, float32, on the CPU.
"""

from functools import partial

import torch
from torch import Tensor

from benchmarks.side_by_side import machine, ratio, written
from vitlab.models.attention.full import Attention
from vitlab.models.block import PreNormBlock
from vitlab.models.layout import TokenLayout
from vitlab.models.mlp import GeluMlp
from vitlab.models.norm import LayerNorm


def main() -> None:
    """Print the table."""
    print(f"{machine()}; median of 9 rounds in turns; kept images alone against all images\n")
    print("| width | tokens | batch | rate | ratio |\n|---|---|---|---|---|")
    for width, side, batch in ((64, 4, 64), (192, 8, 32), (384, 14, 8)):
        layout = TokenLayout((side, side), 1)
        tokens = torch.randn(batch, layout.num_tokens, width)
        for rate in (0.05, 0.1, 0.3):
            block = PreNormBlock(
                width,
                norm=LayerNorm,
                attention=Attention(width, width // 64 or 1, layout),
                mlp=GeluMlp(width, 4 * width, layout),
                layout=layout,
                drop_path=rate,
            )
            _, _, faster = ratio(partial(run, block, tokens, True), partial(run, block, tokens, False))
            print(f"| {width} | {layout.num_tokens} | {batch} | {rate} | {faster:.2f}x |", flush=True)


def run(block: PreNormBlock, tokens: Tensor, whole: bool) -> None:
    """One forward and backward pass, the branches computed for all images or for those that keep them."""
    drop, both = block.drop_path, block.drop_path.forward
    drop.forward = lambda x, branch, _: both(x, branch, whole)  # type: ignore[method-assign]
    block(tokens).square().mean().backward()
    drop.forward = both  # type: ignore[method-assign]


if __name__ == "__main__":
    with written("drop_path"):
        main()

"""``python -m benchmarks.step``: one training step of the same ViT, vitlab against its peers, in turns.

Forward, cross-entropy, backward, fused Adam. On a CPU in float32; on a GPU in bf16, compiled. The bound is what the
matrix products of the step alone take, forward and backward, without what stands between them.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks import peers
from benchmarks.peers import Size
from benchmarks.side_by_side import in_turns, machine, times_faster, write

_CPU = ((replace(peers.SEED, mlp_drop=0.1), 128), (peers.SEED, 128), (peers.SMALL_224, 8))
_GPU = ((peers.SEED, 1024), (peers.SMALL_32, 1024), (peers.SMALL_224, 256), (peers.BASE_224, 256))


def main() -> None:
    """Measure on the best device there is and write the table."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tables = [table(size, batch, device) for size, batch in (_GPU if device.type == "cuda" else _CPU)]
    write("step", "\n\n".join([f"{machine()}; {peers.versions()}", *tables]))


def table(size: Size, batch: int, device: torch.device, rounds: int = 9) -> str:
    """The contestants by their speed, and how near vitlab comes to the bound."""
    images = torch.randn(batch, 3, size.image_size, size.image_size, device=device)
    labels = torch.randint(0, size.num_classes, (batch,), device=device)
    contestants = {name: stepper(make(size), images, labels) for name, make in peers.MODELS.items()}
    contestants["bound"] = partial(products, operands(size, batch, device))
    settle = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    times = in_turns(contestants, rounds, settle)
    ours, bound = times["vitlab"], times["bound"]
    others = {name: took for name, took in times.items() if name not in ("vitlab", "bound")}
    rates = f"drop_path {size.drop_path}, mlp_drop {size.mlp_drop}"
    lines = [f"{size.name}, batch {batch}, {rates}; median of {rounds} rounds in turns", ""]
    lines += ["| model | ms a step | images/s | vitlab is faster by |", "|---|---|---|---|"]
    for name, took in {"vitlab": ours, **dict(sorted(others.items(), key=lambda item: median(item[1])))}.items():
        lines.append(
            f"| {name} | {1000 * median(took):,.0f} | {batch / median(took):,.1f} | {times_faster(took, ours):.2f}x |"
        )
    rate = flops(size, batch) / median(bound)
    lines.append(f"| matrix products alone ({rate / 1e9:,.0f} GFLOP/s) | {1000 * median(bound):,.0f} | | |")
    share = times_faster(bound, ours)
    lines += ["", f"vitlab runs at {share:.0%} of the speed of the matrix products of a step without drop_path."]
    return "\n".join(lines)


def stepper(model: nn.Module, images: Tensor, labels: Tensor) -> Callable[[], None]:
    """One step of ``model``, with the best switches that all of them can have."""
    model.to(images.device).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
    on_gpu = images.device.type == "cuda"
    if on_gpu:
        model.compile(mode="max-autotune-no-cudagraphs")

    def step() -> None:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=on_gpu):
            loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def operands(size: Size, batch: int, device: torch.device) -> list[tuple[int, Tensor, Tensor]]:
    """How often, and what: the pairs of matrices that a forward pass multiplies."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    make = partial(torch.randn, device=device, dtype=dtype)
    rows, width, depth = batch * size.num_tokens, size.embed_dim, size.depth
    head, heads = width // size.num_heads, batch * size.num_heads
    tokens = make(rows, width)
    return [
        (1, make(batch * (size.num_tokens - 1), 3 * size.patch_size**2), make(3 * size.patch_size**2, width)),
        (depth, tokens, make(width, 3 * width)),
        (depth, make(heads, size.num_tokens, head), make(heads, head, size.num_tokens)),
        (depth, make(heads, size.num_tokens, size.num_tokens), make(heads, size.num_tokens, head)),
        (depth, tokens, make(width, width)),
        (depth, tokens, make(width, 4 * width)),
        (depth, make(rows, 4 * width), make(4 * width, width)),
        (1, make(batch, width), make(width, size.num_classes)),
    ]


def products(pairs: list[tuple[int, Tensor, Tensor]]) -> None:
    """Each product, and the two of its backward pass."""
    for times, a, b in pairs:
        for _ in range(times):
            out = a @ b
            _ = out @ b.transpose(-2, -1)
            _ = a.transpose(-2, -1) @ out


def flops(size: Size, batch: int) -> float:
    """Of the products of a step."""
    pairs = operands(size, batch, torch.device("meta"))
    return sum(times * 3 * 2 * a.numel() * b.shape[-1] for times, a, b in pairs)


if __name__ == "__main__":
    main()

"""The regions of a model by name: each of its blocks, and what lies before, between and behind them."""

from torch import nn


def blocks(model: nn.Module) -> dict[str, nn.Module]:
    """The blocks of ``model`` by their path.

    Blocks are what stands one behind the other in an ``nn.ModuleList`` or ``nn.Sequential`` of which every element has
    parts of its own; of such lists within one another the outermost.
    """
    found: dict[str, nn.Module] = {}
    for path, module in model.named_modules():
        within = any(path.startswith(f"{outer}.") for outer in found)
        if isinstance(module, nn.ModuleList | nn.Sequential) and len(module) and not within:
            elements = dict(module.named_children())
            if all(any(True for _ in element.children()) for element in elements.values()):
                found |= {f"{path}.{name}".lstrip("."): element for name, element in elements.items()}
    return found


def region(path: str, blocks: dict[str, nn.Module]) -> str:
    """Name of the region in which a module or a parameter lies: ``block03`` for ``blocks.3.mlp.fc1``, else ``head``."""
    for block in blocks:
        if path == block or path.startswith(f"{block}."):
            of, _, name = block.rpartition(".")
            return f"{of.removesuffix('s') or 'block'}{name.zfill(2)}" if name.isdigit() else name
    first = path.partition(".")[0]
    return f"layer{first.zfill(2)}" if first.isdigit() else first

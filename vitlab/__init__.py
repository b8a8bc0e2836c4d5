"""vitlab: a laboratory for Vision Transformers, from scratch in plain PyTorch and composed by Hydra."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vitlab.api import LoadedRun, build_model, compose, load_run

__version__ = "0.1.0"
__all__ = ["LoadedRun", "__version__", "build_model", "compose", "load_run"]


def __getattr__(name: str) -> Any:
    """What notebooks use, loaded when it is first asked for: ``import vitlab`` alone loads nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'vitlab' has no attribute {name!r}")
    from vitlab import api

    return getattr(api, name)


def __dir__() -> list[str]:
    """So that notebooks complete the names before they are loaded."""
    return sorted({*globals(), *__all__})

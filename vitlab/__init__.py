"""vitlab: a laboratory for Vision Transformers, from scratch in plain PyTorch and composed by Hydra."""

__version__ = "0.1.0"

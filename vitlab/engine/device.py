"""Which device trains."""

import platform

import torch


def pick_device(name: str | None) -> torch.device:
    """The device called ``name``; ``auto`` is CUDA, else Apple's MPS, else the CPU.

    Raises:
        ValueError: torch does not know the name, or the machine does not have the device.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    available = ["cpu", *["cuda"] * cuda, *["mps"] * mps]
    try:
        device = torch.device(name or "null")
    except (RuntimeError, TypeError):
        told = name or "null"
        raise ValueError(f"device={told} is not known; this machine has {', '.join(available)} (or auto)") from None
    beyond = device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()
    if device.type not in available or beyond:
        raise ValueError(f"device={name} is not on this machine; it has {', '.join(available)} (or auto)")
    return device


def device_name(device: torch.device) -> str:
    """What a person calls ``device``."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} {device.type}, {torch.get_num_threads()} threads"

"""scikit-learn's digits: 1,797 real scans of 8 x 8 pixels, bundled, so that a first run needs no network.

Alpaydin & Kaynak 1998, "Optical recognition of handwritten digits", UCI repository (its test part).
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from vitlab.data.source import Files, Pixels, Request, pixels
from vitlab.data.splits import carve

_SPLIT_SEED = 0  # the test images are the same for everyone


class Digits:
    """The digits, with a test split of their own: a fixed fifth, stratified.

    Args:
        test_fraction: share of the test split.
    """

    def __init__(self, test_fraction: float = 0.2) -> None:
        self.test_fraction = test_fraction

    def read(self, request: Request) -> tuple[dict[str, Pixels | Files], tuple[str, ...]]:
        """Both splits as uint8 [N, 1, 8, 8].

        Raises:
            ValueError: another size or number of channels is wanted.
        """
        if (request.image_size, request.channels) != (8, 1):
            raise ValueError(
                f"digits are 8 px with 1 channel, not {request.image_size} px with {request.channels}; "
                "leave data.image_size and data.channels as they are"
            )
        rows = np.loadtxt(_file(), delimiter=",", dtype=np.uint8)  # 64 pixels and the label
        grey, labels = rows[:, :64].reshape(-1, 1, 8, 8), rows[:, 64].astype(np.int64)
        images = np.round(grey * (255 / 16)).astype(np.uint8)  # 17 levels of grey to 0..255
        train, test = carve(labels, self.test_fraction, _SPLIT_SEED)
        splits: dict[str, Pixels | Files] = {
            "train": pixels(images[train], labels[train]),
            "test": pixels(images[test], labels[test]),
        }
        return splits, tuple(str(digit) for digit in range(10))


def _file() -> Path:
    """Where scikit-learn keeps them: found without importing it, which takes longer than the rest of a run's start.

    Raises:
        ModuleNotFoundError: scikit-learn is not installed.
    """
    found = find_spec("sklearn")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("data=digits needs scikit-learn: pip install scikit-learn")
    return Path(found.origin).parent / "datasets" / "data" / "digits.csv.gz"

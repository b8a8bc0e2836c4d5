"""scikit-learn's digits: 1,797 real scans of 8 x 8 pixels, bundled, so that a first run needs no network.

Alpaydin & Kaynak 1998, "Optical recognition of handwritten digits", UCI repository (its test part).
"""

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
        from sklearn.datasets import load_digits

        bundle = load_digits()
        images = np.round(bundle.images * (255 / 16)).astype(np.uint8)  # 17 levels of grey to 0..255
        train, test = carve(bundle.target, self.test_fraction, _SPLIT_SEED)
        splits: dict[str, Pixels | Files] = {
            "train": pixels(images[train], bundle.target[train]),
            "test": pixels(images[test], bundle.target[test]),
        }
        return splits, tuple(str(name) for name in bundle.target_names)

"""CIFAR, MNIST, Fashion-MNIST and SVHN, as torchvision downloads and reads them."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np

from vitlab.data.source import Files, Pixels, Request, pixels

# What must lie under data.root for torchvision to find it.
_PLACES = {
    "CIFAR10": "cifar-10-python.tar.gz (or cifar-10-batches-py/)",
    "CIFAR100": "cifar-100-python.tar.gz (or cifar-100-python/)",
    "MNIST": "MNIST/raw/{train,t10k}-{images-idx3,labels-idx1}-ubyte",
    "FashionMNIST": "FashionMNIST/raw/{train,t10k}-{images-idx3,labels-idx1}-ubyte",
    "SVHN": "train_32x32.mat and test_32x32.mat",
}
# How torchvision says that a set is not there, or not whole.
_UNREADABLE = (RuntimeError, ValueError, AssertionError, UnpicklingError)


class TorchvisionSet:
    """One of torchvision's classic sets of small images.

    Args:
        name: of the class in ``torchvision.datasets``.
        download: whether to fetch it if it is not there.

    Raises:
        ValueError: ``name`` is none of the sets that are known here.
    """

    def __init__(self, name: str, download: bool = True) -> None:
        if name not in _PLACES:
            raise ValueError(f"name={name} is not one of {', '.join(_PLACES)}")
        self.name = name
        self.download = download

    def read(self, request: Request) -> tuple[dict[str, Pixels | Files], tuple[str, ...]]:
        """The official train and test splits.

        Raises:
            FileNotFoundError: the set is not there, or damaged, and cannot be fetched; says what to put where.
            ValueError: its images have another size or other channels than are wanted, or there is no root.
        """
        if request.root is None:
            raise ValueError(f"data.root=null, but {self.name} needs a folder; try data.root=data")
        train, test = self._open(request.root, train=True), self._open(request.root, train=False)
        splits: dict[str, Pixels | Files] = {"train": _arrays(train), "test": _arrays(test)}
        shape = tuple(splits["train"].images.shape[1:])  # type: ignore[union-attr]
        wanted = (request.channels, request.image_size, request.image_size)
        if shape != wanted:
            raise ValueError(
                f"{self.name} has images of channels x height x width {shape}, not {wanted}; "
                "leave data.image_size and data.channels as they are"
            )
        names = getattr(train, "classes", None) or [str(digit) for digit in range(10)]
        return splits, tuple(names)

    def _open(self, root: Path | None, train: bool) -> Any:
        import torchvision

        make = getattr(torchvision.datasets, self.name)
        split = {"split": "train" if train else "test"} if self.name == "SVHN" else {"train": train}
        try:
            return make(root, **split, download=False)
        except _UNREADABLE:
            pass
        try:
            if not self.download:
                raise OSError("data.source.download=false")
            return make(root, **split, download=True)
        except (OSError, *_UNREADABLE) as error:
            reason = " ".join(str(error).split())
            raise FileNotFoundError(
                f"{self.name} cannot be read from data.root={root} and cannot be downloaded ({reason}); "
                f"put {_PLACES[self.name]} into {root}, or set data.root to where it is"
            ) from error


def _arrays(dataset: Any) -> Pixels:
    labels = dataset.labels if hasattr(dataset, "labels") else dataset.targets
    return pixels(np.asarray(dataset.data), np.asarray(labels))

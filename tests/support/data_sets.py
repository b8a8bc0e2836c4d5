"""Small files in the formats of the real data sets."""

import gzip
import hashlib
import pickle
import struct

import numpy as np
import pytest
import scipy.io
import torchvision
from PIL import Image


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def write_folder(tmp_path):
    """``write_folder({"train": {"cat": 5}, "test": {"cat": 2}}, size=32)``: PNG images in class folders."""

    def write(splits, size=32, mode="RGB", ending="png", root=tmp_path / "images"):
        draw = np.random.default_rng(1)
        for split, classes in splits.items():
            for name, count in classes.items():
                folder = root / split / name
                folder.mkdir(parents=True)
                for number in range(count):
                    array = draw.integers(0, 256, (size, size, 3)).astype(np.uint8)
                    Image.fromarray(array).convert(mode).save(folder / f"{number:03d}.{ending}")
        return root

    return write


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def cifar(tmp_path, rng, monkeypatch):
    """``cifar("CIFAR10")``: its files with 10 images each; the checksums that torchvision expects are made theirs."""

    def write(name):
        dataset, fine = getattr(torchvision.datasets, name), name == "CIFAR100"
        folder = tmp_path / dataset.base_folder
        folder.mkdir(parents=True)
        written = {}

        def batch(file):
            images, labels = rng.integers(0, 256, (10, 3072)).astype(np.uint8), list(range(10))
            content = {"data": images, "fine_labels" if fine else "labels": labels}
            (folder / file).write_bytes(pickle.dumps(content))
            written[file] = images.reshape(10, 3, 32, 32)
            return [file, md5(folder / file)]

        monkeypatch.setattr(dataset, "train_list", [batch(file) for file, _ in dataset.train_list])
        monkeypatch.setattr(dataset, "test_list", [batch(file) for file, _ in dataset.test_list])
        names = [f"class {number}" for number in range(100 if fine else 10)]
        meta = folder / dataset.meta["filename"]
        meta.write_bytes(pickle.dumps({dataset.meta["key"]: names}))
        monkeypatch.setattr(dataset, "meta", {**dataset.meta, "md5": md5(meta)})
        train = np.concatenate([written[file] for file, _ in dataset.train_list])
        return tmp_path, train, written[dataset.test_list[0][0]]

    return write


@pytest.fixture
def mnist(tmp_path, rng):
    """``mnist("MNIST")``: its four files, gzipped away, with 12 and 6 images."""

    def write(name):
        folder = tmp_path / name / "raw"
        folder.mkdir(parents=True)
        out = []
        for prefix, count in (("train", 12), ("t10k", 6)):
            images = rng.integers(0, 256, (count, 28, 28)).astype(np.uint8)
            header = struct.pack(">IIII", 0x803, count, 28, 28)
            (folder / f"{prefix}-images-idx3-ubyte").write_bytes(header + images.tobytes())
            labels = (np.arange(count) % 10).astype(np.uint8)
            (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, count) + labels.tobytes())
            with gzip.open(folder / f"{prefix}-labels-idx1-ubyte.gz", "wb") as file:
                file.write(labels.tobytes())
            out.append(images)
        return tmp_path, *out

    return write


@pytest.fixture
def svhn(tmp_path, rng, monkeypatch):
    """Its two files with 10 and 5 images; digit 0 is written as 10, as theirs is."""
    out, split_list = [], dict(torchvision.datasets.SVHN.split_list)
    for split, count in (("train", 10), ("test", 5)):
        images = rng.integers(0, 256, (32, 32, 3, count)).astype(np.uint8)
        path = tmp_path / f"{split}_32x32.mat"
        scipy.io.savemat(path, {"X": images, "y": np.arange(1, count + 1)[:, None]})
        split_list[split] = [split_list[split][0], path.name, md5(path)]
        out.append(images.transpose(3, 2, 0, 1))
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", split_list)
    return tmp_path, *out

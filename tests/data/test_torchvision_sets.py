import numpy as np
import pytest

from vitlab.data.source import Request
from vitlab.data.torchvision_sets import TorchvisionSet


def read(name, root, size=32, channels=3, **settings):
    return TorchvisionSet(name, **settings).read(Request(size, channels, 2**30, root))


@pytest.mark.parametrize("name", ["CIFAR10", "CIFAR100"])
def test_cifar_is_read(cifar, name):
    root, train, test = cifar(name)
    splits, names = read(name, root)
    assert np.array_equal(splits["train"].images.numpy(), train)
    assert np.array_equal(splits["test"].images.numpy(), test)
    assert splits["test"].labels.tolist() == list(range(10))
    assert names[:2] == ("class 0", "class 1")
    assert len(names) == int(name.removeprefix("CIFAR"))


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST"])
def test_mnist_is_read(mnist, name):
    root, train, test = mnist(name)
    splits, names = read(name, root, size=28, channels=1)
    assert np.array_equal(splits["train"].images.numpy(), train[:, None])
    assert np.array_equal(splits["test"].images.numpy(), test[:, None])
    assert len(names) == 10


def test_svhn_is_read_and_its_zero_is_zero(svhn):
    root, train, test = svhn
    splits, names = read("SVHN", root)
    assert np.array_equal(splits["train"].images.numpy(), train)
    assert splits["train"].labels.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
    assert np.array_equal(splits["test"].images.numpy(), test)
    assert names == tuple("0123456789")


@pytest.fixture
def no_network(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # a closed port: no test reaches for the network
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    ("name", "file"),
    [("CIFAR10", "cifar-10-python.tar.gz"), ("CIFAR100", "cifar-100-python"), ("MNIST", "ubyte"), ("SVHN", "mat")],
)
def test_what_cannot_be_fetched_is_said_with_what_to_put_where(tmp_path, name, file):
    with pytest.raises(FileNotFoundError, match=f"cannot be downloaded.*put .*{file}.* into {tmp_path}"):
        read(name, tmp_path, size=28 if name == "MNIST" else 32, channels=1 if name == "MNIST" else 3)


@pytest.mark.faults
@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("file", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
@pytest.mark.parametrize("kept", [0, 12])
def test_a_torn_file_is_said_with_what_to_put_where(mnist, file, kept):
    root, _, _ = mnist("MNIST")
    path = root / "MNIST" / "raw" / file
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(FileNotFoundError, match=f"MNIST cannot be read from data.root={root}.*put MNIST/raw"):
        read("MNIST", root, size=28, channels=1)


def test_nothing_is_fetched_if_that_is_not_wanted(tmp_path):
    with pytest.raises(FileNotFoundError, match="data.source.download=false"):
        read("CIFAR10", tmp_path, download=False)


def test_another_size_is_refused(cifar):
    root, _, _ = cifar("CIFAR10")
    with pytest.raises(ValueError, match=r"\(3, 32, 32\), not \(3, 64, 64\)"):
        read("CIFAR10", root, size=64)


def test_no_root_is_refused():
    with pytest.raises(ValueError, match="data.root=null, but MNIST needs a folder"):
        read("MNIST", None)


def test_an_unknown_set_is_refused():
    with pytest.raises(ValueError, match="CIFAR10, CIFAR100, MNIST"):
        TorchvisionSet("ImageNet")

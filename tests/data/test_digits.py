import numpy as np
import pytest
from sklearn.datasets import load_digits

from vitlab.data.digits import Digits
from vitlab.data.source import Request


@pytest.fixture
def request_digits():
    return Request(image_size=8, channels=1, memory_limit=2**20, root=None)


def test_they_are_scikit_learn_s_images_in_two_splits(request_digits):
    splits, names = Digits().read(request_digits)
    bundle = load_digits()
    images = np.concatenate([splits[name].images.numpy()[:, 0] for name in ("train", "test")])
    expected = np.round(bundle.images * 255 / 16).astype(np.uint8)
    assert sorted(i.tobytes() for i in images) == sorted(i.tobytes() for i in expected)
    assert len(splits["test"].labels) == 360
    assert names == tuple("0123456789")
    assert (images.min(), images.max()) == (0, 255)


def test_the_test_images_are_the_same_for_everyone(request_digits):
    first, again = Digits().read(request_digits)[0], Digits().read(request_digits)[0]
    assert np.array_equal(first["test"].images.numpy(), again["test"].images.numpy())
    assert len(Digits(test_fraction=0.5).read(request_digits)[0]["test"].labels) == 899


@pytest.mark.parametrize(("size", "channels"), [(16, 1), (8, 3)])
def test_another_size_is_refused(size, channels):
    with pytest.raises(ValueError, match="digits are 8 px with 1 channel"):
        Digits().read(Request(size, channels, 2**20, None))

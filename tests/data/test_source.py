import numpy as np
import pytest
import torch

from vitlab.data.source import pixels


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((5, 8, 8), (5, 1, 8, 8)),
        ((5, 8, 8, 3), (5, 3, 8, 8)),
        ((5, 8, 8, 1), (5, 1, 8, 8)),
        ((5, 3, 8, 8), (5, 3, 8, 8)),
    ],
)
def test_every_layout_becomes_images_channels_rows_columns(shape, expected):
    array = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    found = pixels(array, np.arange(5, dtype=np.int32))
    assert tuple(found.images.shape) == expected
    assert found.images.dtype == torch.uint8
    assert found.labels.dtype == torch.int64
    pixel = array[2, 3, 4] if array.ndim == 3 else array[2, :, 3, 4] if shape[1] == 3 else array[2, 3, 4]
    assert found.images[2, :, 3, 4].tolist() == np.atleast_1d(pixel).tolist()

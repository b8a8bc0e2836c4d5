import pytest
import torch

from vitlab.models.layout import TokenLayout
from vitlab.models.pool import ClsPool, MeanPool

TOKENS = torch.arange(2 * 5 * 3.0).reshape(2, 5, 3)


def test_cls_is_the_first_token():
    assert torch.equal(ClsPool(TokenLayout((2, 2), 1))(TOKENS), TOKENS[:, 0])


@pytest.mark.parametrize("prefix", [0, 1])
def test_the_mean_is_that_of_the_patches_alone(prefix):
    expected = torch.stack([TOKENS[:, i] for i in range(prefix, 5)]).mean(0)
    assert torch.allclose(MeanPool(TokenLayout((1, 5 - prefix), prefix))(TOKENS), expected)


def test_cls_without_a_cls_token_is_refused():
    with pytest.raises(ValueError, match=r"class_token=true.*pool=mean"):
        ClsPool(TokenLayout((2, 2), 0))

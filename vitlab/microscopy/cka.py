"""How alike two layers describe the same images, whatever the directions in which they write it down.

Linear CKA (Kornblith et al. 2019, "Similarity of neural network representations revisited") from an unbiased HSIC (Song
et al. 2012, equation 5), batch by batch (Nguyen et al. 2021, "Do wide and deep networks learn the same things?",
section 2): the estimate does not grow with the number of features, and no layer is kept for all images.
Shapes: L, M layers of one model and of another, n images of a batch.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

FEWEST = 4  # images of a batch, below which the estimate is not defined


def grams(layers: Sequence[Tensor]) -> Tensor:
    """How alike each layer finds each two images: [L, n, n] on the CPU, zero on the diagonal.

    Args:
        layers: features [n, ...], of any shapes.
    """
    flat = (layer.flatten(1).float() for layer in layers)
    centred = (features - features.mean(dim=0) for features in flat)  # changes no estimate, but saves digits
    alike = torch.stack([(features @ features.T).cpu().double() for features in centred])  # [L, n, n]
    return alike - torch.diag_embed(alike.diagonal(dim1=1, dim2=2))


def unbiased_hsic(one: Tensor, other: Tensor) -> Tensor:
    """HSIC of each layer with each: [L, M].

    Args:
        one: ``grams`` of some layers, [L, n, n].
        other: those of others for the same images, [M, n, n].

    Raises:
        ValueError: there are fewer than four images.
    """
    n = one.shape[1]
    if n < FEWEST:
        raise ValueError(f"{n} images are too few for an unbiased HSIC; it takes {FEWEST}")
    traces = torch.einsum("lij,mij->lm", one, other)
    sums = one.sum(dim=(1, 2))[:, None] * other.sum(dim=(1, 2))[None, :]
    rows = one.sum(dim=2) @ other.sum(dim=2).T
    return (traces + sums / ((n - 1) * (n - 2)) - 2 / (n - 2) * rows) / (n * (n - 3))


class Alignment:
    """CKA of each layer of one model with each of another, gathered batch by batch."""

    def __init__(self) -> None:
        self._both: list[Tensor] = []
        self._one: list[Tensor] = []
        self._other: list[Tensor] = []

    def add(self, layers: Sequence[Tensor], others: Sequence[Tensor]) -> None:
        """Take up what both say of one batch of images; fewer than four of them say nothing, and are left out."""
        if len(layers[0]) < FEWEST:
            return
        one, other = grams(layers), grams(others)
        self._both.append(unbiased_hsic(one, other))
        self._one.append(unbiased_hsic(one, one).diagonal())
        self._other.append(unbiased_hsic(other, other).diagonal())

    def found(self) -> Tensor | None:
        """[L, M], 1 for layers that say the same and about 0 for those that have nothing in common; None if empty.

        A layer that says the same of all images has nothing in common with any.
        """
        if not self._both:
            return None
        both, one, other = (sum(parts[1:], parts[0]) for parts in (self._both, self._one, self._other))
        size = (one[:, None] * other[None, :]).clamp_min(0).sqrt()
        return torch.where(size > 0, both / size, 0.0).float()

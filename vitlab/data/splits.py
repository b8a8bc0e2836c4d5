"""Splits that are drawn once and can be told apart: seeded, stratified, hashed."""

import hashlib
import math

import numpy as np


def carve(labels: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split indices in two, each class in the same proportion.

    The draw is that of scikit-learn's ``train_test_split(stratify=labels)``, number by number, without the second
    that its import takes at the start of every run.

    Args:
        labels: int [N].
        fraction: share of the second part, in (0, 1).
        seed: of the draw.

    Returns:
        Indices of the rest and of the part carved out, both rising.

    Raises:
        ValueError: a class has too few images to be in both parts.
    """
    kinds, kind_of = np.unique(labels, return_inverse=True)
    counts = np.bincount(kind_of, minlength=len(kinds))
    num_carved = math.ceil(fraction * len(labels))
    num_rest = len(labels) - num_carved
    if not 0 < fraction < 1 or counts.min(initial=2) < 2 or min(num_rest, num_carved) < len(kinds):
        smallest = int(counts.argmin()) if len(counts) else 0
        least = math.ceil(1000 * len(kinds) / max(1, len(labels))) / 1000
        can_be = counts.min(initial=2) >= 2 and least <= 0.5
        hint = f"; try {min(max(fraction, least), 1 - least):.3f}" if can_be else ""
        raise ValueError(
            f"val_fraction={fraction} cannot be carved out of {len(labels)} images, of which class number "
            f"{kinds[smallest] if len(kinds) else 0} has {counts.min(initial=len(labels))}: each of {len(kinds)} "
            f"classes needs two images, and one in each part{hint}"
        )
    rng = np.random.RandomState(seed)
    stay = _shares(counts, num_rest, rng)
    leave = _shares(counts - stay, num_carved, rng)
    rest, carved = [], []
    for kind, (first, second) in enumerate(zip(stay, leave, strict=True)):
        shuffled = np.flatnonzero(kind_of == kind)[rng.permutation(counts[kind])]
        rest.append(shuffled[:first])
        carved.append(shuffled[first : first + second])
    return np.sort(np.concatenate(rest)), np.sort(np.concatenate(carved))


def _shares(counts: np.ndarray, total: int, rng: np.random.RandomState) -> np.ndarray:
    """``total`` cut up in the proportions of ``counts``.

    What rounding down leaves over goes to the largest fractions, and among equal ones to those that are drawn.
    """
    exact = counts / counts.sum() * total
    shares: np.ndarray = np.floor(exact)
    fractions = exact - shares
    for fraction in np.unique(fractions)[::-1]:
        left = int(total - shares.sum())
        if left <= 0:
            break
        tied = np.flatnonzero(fractions == fraction)
        shares[rng.choice(tied, size=min(left, len(tied)), replace=False)] += 1
    return shares.astype(np.int64)


def digest(*arrays: np.ndarray) -> str:
    """SHA-256 of the contents and shapes of ``arrays``."""
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(f"{array.dtype}{array.shape}".encode())
        sha.update(np.ascontiguousarray(array).data)
    return sha.hexdigest()

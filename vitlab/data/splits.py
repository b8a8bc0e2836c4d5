"""Splits that are drawn once and can be told apart: seeded, stratified, hashed."""

import hashlib

import numpy as np


def carve(labels: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split indices in two, each class in the same proportion.

    Args:
        labels: int [N].
        fraction: share of the second part, in (0, 1).
        seed: of the draw.

    Returns:
        Indices of the rest and of the part carved out, both rising.

    Raises:
        ValueError: a class has too few images to be in both parts.
    """
    from sklearn.model_selection import train_test_split

    try:
        rest, carved = train_test_split(np.arange(len(labels)), test_size=fraction, random_state=seed, stratify=labels)
    except ValueError as error:
        counts = np.bincount(labels)
        smallest = int(np.where(counts > 0, counts, counts.max() + 1).argmin())
        raise ValueError(
            f"a share of {fraction} cannot be carved out of {len(labels)} images (class number {smallest} has "
            f"{counts[smallest]}): {error}"
        ) from error
    return np.sort(rest), np.sort(carved)


def digest(*arrays: np.ndarray) -> str:
    """SHA-256 of the contents and shapes of ``arrays``."""
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(f"{array.dtype}{array.shape}".encode())
        sha.update(np.ascontiguousarray(array).data)
    return sha.hexdigest()

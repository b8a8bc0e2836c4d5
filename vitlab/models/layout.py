"""How the tokens of an image lie: what a part needs to know to find its way among them, and which sizes fit."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class TokenLayout:
    """The sequence of tokens: first the prefix (CLS, distillation token, registers), then the patches row by row.

    Args:
        grid_size: rows and columns of patches.
        num_prefix: tokens before the patches.
        num_registers: how many of those are registers; they come last.
    """

    grid_size: tuple[int, int]
    num_prefix: int
    num_registers: int = 0

    @property
    def num_patches(self) -> int:
        """N, the number of patches."""
        return self.grid_size[0] * self.grid_size[1]

    @property
    def num_tokens(self) -> int:
        """T, the number of all tokens."""
        return self.num_prefix + self.num_patches

    @property
    def has_class_token(self) -> bool:
        """Whether the first token is CLS."""
        return self.num_prefix > self.num_registers

    def split(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """The prefix [B, T - N, D] and the patches as an image [B, D, rows, columns] of ``tokens`` [B, T, D]."""
        prefix, patches = tokens[:, : self.num_prefix], tokens[:, self.num_prefix :]
        return prefix, patches.transpose(1, 2).reshape(len(tokens), -1, *self.grid_size)


def nearest_divisors(number: int, to: int) -> str:
    """The divisors of ``number`` just below and above ``to``, in words: ``4 or 6``."""
    divisors = [d for d in range(1, number + 1) if number % d == 0]
    below, above = [d for d in divisors if d < to], [d for d in divisors if d > to]
    return " or ".join(str(d) for d in [*below[-1:], *above[:1]])


def refuse_even(name: str, size: int) -> None:
    """Refuse a neighbourhood without a middle.

    Raises:
        ValueError: ``size`` is even or not positive; the nearest that are odd are named.
    """
    if size < 1 or size % 2 == 0:
        near = "1" if size < 2 else f"{size - 1} or {size + 1}"
        raise ValueError(f"{name}={size} is not odd, so it has no middle; try {near}")

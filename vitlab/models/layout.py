"""How the tokens of an image lie: what a part needs to know to find its way among them, and which sizes fit."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TokenLayout:
    """The sequence of tokens: first the prefix (CLS), then the patches row by row.

    Args:
        grid_size: rows and columns of patches.
        num_prefix: tokens before the patches.
    """

    grid_size: tuple[int, int]
    num_prefix: int

    @property
    def num_patches(self) -> int:
        """N, the number of patches."""
        return self.grid_size[0] * self.grid_size[1]

    @property
    def num_tokens(self) -> int:
        """T, the number of all tokens."""
        return self.num_prefix + self.num_patches


def nearest_divisors(number: int, to: int) -> str:
    """The divisors of ``number`` just below and above ``to``, in words: ``4 or 6``."""
    divisors = [d for d in range(1, number + 1) if number % d == 0]
    below, above = [d for d in divisors if d < to], [d for d in divisors if d > to]
    return " or ".join(str(d) for d in [*below[-1:], *above[:1]])

"""Accuracy against what it costs: which settings no other beats at no greater cost."""

from collections.abc import Sequence

COSTS = {"parameters": "parameters", "flops_per_image": "FLOPs of an image", "seconds": "seconds of training"}
"""Figures of a summary that are costs, and what people call them."""


def front(points: Sequence[tuple[float, float]], sign: int = 1) -> list[int]:
    """Positions of the points (cost, value) that no other dominates, by rising cost.

    A point is dominated by one that costs no more and is no worse, and is better in one of the two.

    Args:
        points: cost and value of each.
        sign: 1 where more of the value is better, -1 where less is.
    """
    order = sorted(range(len(points)), key=lambda i: (points[i][0], -sign * points[i][1]))
    found: list[int] = []
    for i in order:
        cost, value = points[i][0], sign * points[i][1]
        best = sign * points[found[-1]][1] if found else float("-inf")
        if value > best or (found and value == best and cost == points[found[-1]][0]):
            found.append(i)
    return found

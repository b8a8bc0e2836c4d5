from hypothesis import given
from hypothesis import strategies as st

from vitlab.comparison.pareto import front

POINTS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12)


@given(POINTS, st.sampled_from([1, -1]))
def test_the_front_is_every_point_that_none_dominates(points, sign):
    def dominated(point):
        return any(other[0] <= point[0] and sign * other[1] >= sign * point[1] and other != point for other in points)

    expected = sorted(i for i, point in enumerate(points) if not dominated(point))
    assert sorted(front(points, sign)) == expected


def test_it_goes_by_rising_cost():
    assert front([(5, 0.9), (1, 0.5), (3, 0.4), (2, 0.7)]) == [1, 3, 0]

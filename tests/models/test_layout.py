from vitlab.models.layout import TokenLayout, nearest_divisors


def test_tokens_are_the_prefix_and_the_patches():
    layout = TokenLayout((3, 4), num_prefix=2)
    assert (layout.num_patches, layout.num_tokens) == (12, 14)


def test_the_nearest_divisors_lie_on_both_sides():
    assert nearest_divisors(192, 5) == "4 or 6"
    assert nearest_divisors(8, 100) == "8"
    assert nearest_divisors(8, -1) == "1"

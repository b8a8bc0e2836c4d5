import pytest

from vitlab.models.patch_embed.grid import grid_of, halvings


@pytest.mark.parametrize(
    ("image", "patch", "near"), [(32, 5, "try 4 or 8"), (8, 3, "try 2 or 4"), (8, 0, "try 1"), (8, 9, "try 8")]
)
def test_a_patch_that_does_not_divide_the_image_is_refused_with_those_that_do(image, patch, near):
    with pytest.raises(ValueError, match=f"patch_size={patch} does not divide image_size={image}; {near}"):
        grid_of(image, patch)


def test_an_image_of_no_size_is_refused():
    with pytest.raises(ValueError, match="image_size=0"):
        grid_of(0, 4)


@pytest.mark.parametrize(("patch", "steps"), [(2, 1), (4, 2), (8, 3), (16, 4)])
def test_a_patch_is_so_many_halvings(patch, steps):
    assert halvings(32, patch, "cct") == steps


@pytest.mark.parametrize(
    ("image", "patch", "near"), [(28, 7, "patch_size=2 or 4"), (28, 1, "patch_size=2 or 4"), (9, 3, "conv")]
)
def test_a_patch_that_halving_does_not_reach_is_refused(image, patch, near):
    with pytest.raises(ValueError, match=f"patch_embed=cct halves the image, so patch_size={patch}.*try .*{near}"):
        halvings(image, patch, "cct")

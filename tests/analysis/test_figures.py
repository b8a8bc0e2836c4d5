import pytest

from vitlab.analysis.figures import amount, megabytes, shape, share


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1 k"),
        (12_345, "12.3 k"),
        (999_999, "1 M"),
        (730_215_168, "730 M"),
        (5e16, "50,000 T"),
    ],
)
def test_amounts_have_three_digits_and_a_unit(number, text):
    assert amount(number) == text


def test_bytes_are_megabytes_of_a_million():
    assert (megabytes(50_700), megabytes(15_300_000_000)) == ("0.0507 MB", "15,300 MB")


@pytest.mark.parametrize(
    ("part", "text"), [(0, "–"), (0.0001, "<0.1%"), (0.0005, "0.1%"), (0.236, "23.6%"), (1, "100.0%")]
)
def test_small_shares_are_told_from_none(part, text):
    assert share(part) == text


def test_shapes_read_as_products():
    assert shape((3, 65, 65)) == "3 × 65 × 65"
    assert shape(()) == ""

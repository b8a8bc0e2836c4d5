import pickle
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitlab.data.paths import Paths

names = st.lists(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1), max_size=20)


@given(names, names)
def test_paths_come_back_as_they_went_in(first, second):
    paths = Paths(Path("root"))
    paths.extend(first)
    paths.extend(second)
    assert len(paths) == len(first + second)
    assert [paths.relative(number) for number in range(len(paths))] == first + second
    assert list(pickle.loads(pickle.dumps(paths))) == [Path("root", name) for name in first + second]


def test_a_name_that_is_no_text_names_its_file_still(tmp_path):
    raw = b"caf\xe9.png"
    (tmp_path / Path(raw.decode(errors="surrogateescape"))).write_bytes(b"found")
    paths = Paths(tmp_path)
    paths.extend(path.name for path in tmp_path.iterdir())
    assert paths[0].read_bytes() == b"found"


@pytest.mark.parametrize("index", [-1, 2])
def test_there_is_nothing_beyond_the_ends(index):
    paths = Paths(Path())
    paths.extend(["a", "b"])
    with pytest.raises(IndexError):
        paths[index]


def test_a_path_takes_little_more_than_its_letters():
    paths = Paths(Path())
    paths.extend(f"class/{number:06d}.jpeg" for number in range(100_000))
    assert sum(map(sys.getsizeof, (paths._text, paths._ends))) < 1.3 * 100_000 * (len("class/000000.jpeg") + 8)

import pytest

from vitlab.comparison.report import write
from vitlab.errors import VitlabError


def test_all_files_are_written_and_written_again(sweep, tmp_path):
    comparison = sweep({(4, 2): [0.5, 0.6], (8, 2): [0.7, 0.6]})
    for _ in range(2):
        paths = write(comparison, tmp_path / "a" / "b")
        assert [path.name for path in paths] == [
            "comparison.html",
            "comparison.csv",
            "curves.png",
            "effects.png",
            "costs.png",
        ]
        assert all(path.stat().st_size > 100 for path in paths)


def test_a_folder_that_cannot_be_written_is_named(sweep, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(VitlabError, match=r"output=.*file cannot be written"):
        write(sweep({(4, 2): [0.5]}), tmp_path / "file")

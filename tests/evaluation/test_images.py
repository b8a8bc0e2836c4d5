from pathlib import Path

import pytest
from PIL import Image

from vitlab.errors import VitlabError
from vitlab.evaluation.images import left_out, named, read


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "below").mkdir()
    Image.new("RGB", (20, 10), "red").save(tmp_path / "b.png")
    Image.new("L", (8, 8), 200).save(tmp_path / "below/a.JPG", "JPEG")
    (tmp_path / "broken.png").write_text("no image")
    (tmp_path / "notes.txt").touch()
    return tmp_path


def test_files_and_folders_are_taken_one_or_several(folder):
    every = [folder / "b.png", folder / "below/a.JPG", folder / "broken.png"]
    assert named(str(folder)) == every
    assert named([str(folder / "b.png"), str(folder)]) == [every[0], *every]
    assert named(Path(folder / "b.png")) == every[:1]


def test_in_a_folder_a_link_to_what_is_gone_is_told_and_one_file_is_passed_over(folder):
    (folder / "gone.png").symlink_to(folder / "nothing.png")
    paths = named(str(folder), but=folder / "b.png")
    assert [path.name for path in paths] == ["a.JPG", "broken.png", "gone.png"]
    assert "gone.png cannot be decoded" in read(paths, 16, 3)[2][1]


@pytest.mark.parametrize(
    ("images", "message"),
    [("nowhere", "images=nowhere: there is no such file"), ([], "names no image"), ([1], "images=1: there is no such")],
)
def test_what_is_not_there_is_told(images, message):
    with pytest.raises(VitlabError, match=message):
        named(images)


def test_images_of_any_size_are_read_and_the_broken_one_is_named(folder):
    images, good, broken = read(named(str(folder)), 16, 3)
    assert images.shape == (2, 3, 16, 16)
    assert good == [folder / "b.png", folder / "below/a.JPG"]
    assert images[0, :, 8, 8].tolist() == [255, 0, 0]
    assert left_out(broken, 3).startswith("1 of 3 files is left out: ")
    assert "broken.png cannot be decoded" in left_out(broken, 3)
    assert read([folder / "broken.png"], 16, 1)[0].shape == (0, 1, 16, 16)


@pytest.mark.parametrize("images", ["", [""]])
def test_no_name_is_not_the_folder_where_one_is(images):
    with pytest.raises(VitlabError, match="images= is empty"):
        named(images)

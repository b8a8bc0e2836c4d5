import os

import numpy as np
import pytest
import torch
from PIL import Image

from vitlab.data.image_folder import ImageFolder
from vitlab.data.source import Files, Pixels, Request

WHOLE = {"train": {"cat": 4, "dog": 3}, "test": {"cat": 2, "dog": 2}}


@pytest.fixture
def read(tmp_path):
    def reading(root, memory_limit=2**30, cache=tmp_path / "cache", size=32, channels=3):
        return ImageFolder(str(cache) if cache else None).read(Request(size, channels, memory_limit, root))

    return reading


def test_pixels_and_labels_are_those_of_the_files(read, write_folder):
    root = write_folder(WHOLE)
    splits, names = read(root)
    assert names == ("cat", "dog")
    assert splits["train"].labels.tolist() == [0, 0, 0, 0, 1, 1, 1]
    third_dog = np.asarray(Image.open(root / "train" / "dog" / "002.png")).transpose(2, 0, 1)
    assert np.array_equal(splits["train"].images[6].numpy(), third_dog)


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        (("train", "test"), {"train": "train", "test": "test"}),
        (("train", "val"), {"train": "train", "test": "val"}),
        (("train", "val", "test"), {"train": "train", "val": "val", "test": "test"}),
        (("train",), {"train": "train"}),
        ((".",), {"train": "."}),
    ],
)
def test_folders_become_splits(read, write_folder, splits, expected):
    root = write_folder({split: {"a": number + 2, "b": 2} for number, split in enumerate(splits)})
    found, _ = read(root)
    sizes = {split: number + 4 for number, split in enumerate(splits)}
    assert {name: len(store.labels) for name, store in found.items()} == {n: sizes[s] for n, s in expected.items()}


def test_what_does_not_fit_into_memory_is_left_in_its_files(read, write_folder):
    root = write_folder(WHOLE)
    files, _ = read(root, memory_limit=11 * 3 * 32 * 32 - 1)
    assert isinstance(files["train"], Files)
    assert [path.name for path in list(files["train"].paths)[:2]] == ["000.png", "001.png"]
    assert isinstance(read(root, memory_limit=11 * 3 * 32 * 32)[0]["train"], Pixels)


def test_files_that_are_no_images_by_their_ending_are_passed_over(read, write_folder):
    root = write_folder(WHOLE)
    (root / "train" / "cat" / "notes.txt").write_text("not an image")
    (root / "train" / "cat" / "drawing.EPS").write_text("a program for Ghostscript")
    (root / "train" / ".thumbnails").mkdir()
    assert len(read(root)[0]["train"].labels) == 7


def test_the_second_reading_comes_from_the_cache(read, write_folder, tmp_path, monkeypatch):
    root = write_folder(WHOLE)
    first, _ = read(root)
    monkeypatch.setattr("vitlab.data.image_folder.decode", pytest.fail)
    again, _ = read(root)
    assert torch.equal(first["train"].images, again["train"].images)
    assert len(list((tmp_path / "cache").iterdir())) == 2


@pytest.mark.parametrize("change", ["content", "name", "size", "time"])
def test_a_change_in_the_folder_is_seen(read, write_folder, change):
    root = write_folder(WHOLE)
    before = read(root)[0]["train"].images
    path = root / "train" / "cat" / "000.png"
    if change == "content":
        Image.new("RGB", (32, 32), "red").save(path)
    elif change == "name":
        path.rename(path.with_name("zzz.png"))
    elif change == "time":
        Image.new("RGB", (32, 32), "blue").save(path)
        os.utime(path, ns=(1, 1))
    else:
        assert read(root, size=16)[0]["train"].images.shape[-1] == 16
        return
    assert not torch.equal(read(root)[0]["train"].images, before)


def test_splits_whose_files_agree_in_name_size_and_time_are_not_mistaken_for_each_other(read, write_folder):
    root = write_folder({"train": {"a": 2}, "test": {"a": 2}}, ending="bmp")
    for path in root.rglob("*.bmp"):
        os.utime(path, (0, 0))
    splits, _ = read(root)
    assert not torch.equal(splits["train"].images, splits["test"].images)


@pytest.mark.faults
@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"garbage"])
def test_a_damaged_cache_is_made_anew(read, write_folder, tmp_path, damage):
    root = write_folder(WHOLE)
    before = read(root)[0]["train"].images
    for file in (tmp_path / "cache").iterdir():
        file.write_bytes(damage)
    assert torch.equal(read(root)[0]["train"].images, before)


def test_without_room_for_a_cache_it_reads_all_the_same(read, write_folder, tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert len(read(write_folder(WHOLE), cache=tmp_path / "file")[0]["train"].labels) == 7
    assert len(read(tmp_path / "images", cache=None)[0]["train"].labels) == 7


def test_damaged_images_are_named(read, write_folder):
    root = write_folder({"train": {"cat": 9}})
    for number in range(7):
        (root / "train" / "cat" / f"00{number}.png").write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"cat/000\.png cannot be decoded.*cat/004\.png.*; and 2 more$"):
        read(root)


def test_a_missing_folder_is_named(read, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder; it must hold train/"):
        read(tmp_path / "nowhere")


def test_an_empty_class_is_named(read, write_folder):
    root = write_folder(WHOLE)
    (root / "train" / "eel").mkdir()
    (root / "test" / "eel").mkdir()
    with pytest.raises(ValueError, match="class folder .*train/eel holds no images"):
        read(root)


def test_a_folder_without_classes_is_named(read, tmp_path):
    with pytest.raises(ValueError, match="holds no class folders"):
        read(tmp_path)


def test_splits_without_train_are_not_taken_for_classes(read, write_folder):
    with pytest.raises(ValueError, match="holds val/ and test/ but no train/"):
        read(write_folder({"val": {"cat": 2}, "test": {"cat": 2}}))


def test_classes_that_differ_between_splits_are_named(read, write_folder):
    root = write_folder({"train": {"cat": 2, "dog": 2}, "test": {"cat": 2, "emu": 2}})
    with pytest.raises(ValueError, match="train/ and test/ have different classes: dog, emu"):
        read(root)

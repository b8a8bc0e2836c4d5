import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from vitlab.data.digits import Digits
from vitlab.data.image_data import ImageData
from vitlab.data.image_folder import ImageFolder

CPU = torch.device("cpu")
DIGITS = {
    "image_size": 8,
    "channels": 1,
    "num_classes": 10,
    "mean": [0.3],
    "std": [0.4],
    "patch_size": 2,
    "horizontal_flip": False,
}


def digits(**settings):
    return ImageData(Digits(), **{**DIGITS, **settings})


def folder(root, **settings):
    sizes = {"image_size": 8, "channels": 3, "num_classes": None, "mean": [0.5] * 3, "std": [0.5] * 3}
    rest = {"patch_size": 2, "horizontal_flip": True, "root": str(root)}
    return ImageData(ImageFolder(None), **{**sizes, **rest, **settings})


def images_of(data, split, **settings):
    chosen = {"batch_size": 7, "device": CPU, "seed": 0, "shuffle": False, **settings}
    return torch.cat([images for images, _ in data.batches(split, **chosen).epoch(0)])


def test_the_spec_tells_what_others_need():
    spec = digits().spec
    assert (spec.image_size, spec.channels, spec.num_classes, spec.patch_size) == (8, 1, 10, 2)
    assert (spec.mean, spec.std, spec.horizontal_flip) == ((0.3,), (0.4,), False)
    assert spec.class_names == tuple("0123456789")


def test_val_is_carved_out_of_train_and_test_is_left_alone():
    data = digits()
    sizes = {split: len(images_of(data, split)) for split in ("train", "val", "test")}
    assert sizes == {"train": 1293, "val": 144, "test": 360}
    shown = {i.numpy().tobytes() for split in ("train", "val") for i in images_of(data, split)}
    assert len(shown) > 1400
    assert len(images_of(digits(val_fraction=0.5), "val")) == 719


def test_train_and_val_share_one_tensor():
    data = digits()
    train, val = (data.batches(s, batch_size=8, device=CPU, seed=0, shuffle=False) for s in ("train", "val"))
    assert train.pixels.images.data_ptr() == val.pixels.images.data_ptr()


def test_splits_and_their_hashes_are_the_split_seed_s_and_not_the_run_s():
    first, again, other = digits().hashes(), digits().hashes(), digits(split_seed=1).hashes()
    assert first == again
    assert set(first) == {"images/train", "images/test", "split/train", "split/val", "split/test"}
    assert {name for name in first if first[name] != other[name]} == {"split/train", "split/val"}


def test_a_changed_image_changes_the_hash(write_folder):
    root = write_folder({"train": {"a": 12, "b": 12}, "test": {"a": 2, "b": 2}}, size=8)
    for limit in (2048, 0):
        before = folder(root, memory_limit_mb=limit).hashes()
        path = root / "train" / "a" / "000.png"
        kept = path.read_bytes()
        path.write_bytes((root / "train" / "b" / "000.png").read_bytes() + b"\0" * (limit == 0))
        after = folder(root, memory_limit_mb=limit).hashes()
        path.write_bytes(kept)
        assert [name for name in before if before[name] != after[name]] == ["images/train"]


@pytest.mark.parametrize(("limit", "seen"), [(2048, True), (0, False)])
def test_of_streamed_images_a_change_that_leaves_the_size_is_seen_in_256_of_them(write_folder, limit, seen):
    root = write_folder({"train": {"a": 150, "b": 150}}, size=8)
    before = folder(root, memory_limit_mb=limit).hashes()
    unseen = min(set(range(300)) - set(np.linspace(0, 299, 256, dtype=np.int64).tolist()))
    for number, expected in ((0, True), (299, True), (unseen, seen)):
        path = root / "train" / "ab"[number // 150] / f"{number % 150:03}.png"
        kept = path.read_bytes()
        Image.fromarray(np.full((8, 8, 3), 77, np.uint8)).save(path)
        changed = path.read_bytes().ljust(len(kept), b"\0")  # what follows the end of a PNG is no part of it
        assert len(changed) == len(kept)
        path.write_bytes(changed)
        after = folder(root, memory_limit_mb=limit).hashes()
        path.write_bytes(kept)
        assert (before != after) is expected


def test_a_copy_of_the_images_has_the_same_hash(write_folder, tmp_path):
    root = write_folder({"train": {"a": 12, "b": 12}}, size=8)
    copy = shutil.copytree(root, tmp_path / "elsewhere", copy_function=shutil.copyfile)  # and not their times
    assert folder(copy, memory_limit_mb=0).hashes() == folder(root, memory_limit_mb=0).hashes()


def test_selecting_on_test_makes_val_the_test_split():
    data = digits(select_on_test=True)
    assert torch.equal(images_of(data, "val"), images_of(data, "test"))
    assert len(images_of(data, "train")) == 1437


@pytest.mark.parametrize(
    ("splits", "sizes"),
    [
        ({"train": 40, "val": 10, "test": 6}, (40, 10, 6)),
        ({"train": 40, "test": 6}, (36, 4, 6)),
        ({"train": 40, "val": 10}, (36, 4, 10)),
        ({".": 100}, (81, 9, 10)),
    ],
)
def test_every_kind_of_folder_gets_three_splits_without_common_images(write_folder, splits, sizes):
    root = write_folder({split: {"a": count // 2, "b": count // 2} for split, count in splits.items()}, size=8)
    data = folder(root)
    parts = [images_of(data, split) for split in ("train", "val", "test")]
    assert tuple(len(part) for part in parts) == sizes
    assert len({image.numpy().tobytes() for part in parts for image in part}) == sum(sizes)
    assert data.spec.num_classes == 2
    assert data.spec.class_names == ("a", "b")


def test_in_memory_or_streamed_the_batches_are_the_same(write_folder):
    root = write_folder({"train": {"a": 20, "b": 20}, "test": {"a": 2, "b": 2}}, size=10)
    memory, stream = folder(root), folder(root, memory_limit_mb=0, num_workers=1)
    for split in ("train", "val", "test"):
        shuffled = {"shuffle": split == "train", "seed": 4}
        assert torch.equal(images_of(memory, split, **shuffled), images_of(stream, split, **shuffled))


def test_runs_of_one_seed_see_the_same_images_in_the_same_order():
    assert torch.equal(images_of(digits(), "train", shuffle=True), images_of(digits(), "train", shuffle=True))
    one, other = (images_of(digits(), "train", shuffle=True, seed=seed) for seed in (1, 2))
    assert not torch.equal(one, other)
    assert np.array_equal(one.sum(dim=(1, 2, 3)).sort().values, other.sum(dim=(1, 2, 3)).sort().values)


def test_other_classes_than_are_told_are_refused():
    with pytest.raises(ValueError, match="num_classes=7, but the images have 10 classes"):
        digits(num_classes=7)


def test_mean_and_std_must_fit_the_channels():
    with pytest.raises(ValueError, match="channels=1 values, not 3 and 1"):
        digits(mean=[0.1, 0.2, 0.3])

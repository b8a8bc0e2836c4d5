import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp
from torch.nn import functional as F
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms.functional import resized_crop

from vitlab.augment.geometry import HorizontalFlip, PadCrop, ResizedCrop


def images(count=64, channels=3, size=16, seed=0):
    return torch.randint(0, 256, (count, channels, size, size), generator=torch.Generator().manual_seed(seed)).byte()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_every_crop_is_one_of_the_padded_image_and_all_places_come(channels, dtype):
    batch = images(600, channels).to(dtype)
    moved = PadCrop(0.125)(batch, np.random.default_rng(0))
    padded = F.pad(batch, [2] * 4)
    places = set()
    for image, whole in zip(moved, padded, strict=True):
        found = [(r, c) for r in range(5) for c in range(5) if torch.equal(image, whole[:, r : r + 16, c : c + 16])]
        assert found
        places |= set(found)
    assert len(places) == 25
    assert moved.dtype == dtype


def test_padding_is_a_share_of_the_image():
    assert torch.equal(PadCrop(0.0)(images(), np.random.default_rng(0)), images())
    white = torch.full((200, 1, 8, 8), 255, dtype=torch.uint8)
    moved = PadCrop(0.25)(white, np.random.default_rng(0))
    assert (moved == 0).all(dim=3).sum(dim=2).max() == 2  # black rows: two at most


@pytest.mark.parametrize(("height", "width"), [(16, 16), (20, 12)])
def test_every_part_of_an_image_is_the_one_that_torchvision_cuts_out(height, width):
    batch = torch.rand(40, 3, height, width, generator=torch.Generator().manual_seed(0))
    crop = ResizedCrop((0.1, 1.0))
    out = crop(batch, np.random.default_rng(0))
    boxes = crop.boxes(40, height, width, np.random.default_rng(0)).tolist()
    expected = [resized_crop(i, *box, (height, width), antialias=False) for i, box in zip(batch, boxes, strict=True)]
    inside = slice(2, -2)  # beyond its edge torchvision repeats the part's, we see the image's own pixels
    assert torch.allclose(out[..., inside, inside], torch.stack(expected)[..., inside, inside], atol=1e-5)
    of_bytes = crop((batch * 255).byte(), np.random.default_rng(0))
    assert of_bytes.dtype == torch.uint8


@pytest.mark.parametrize("area", [(0.05, 1.0), (0.8, 1.0)])
def test_places_and_shapes_are_drawn_as_torchvision_draws_them(area):
    torch.manual_seed(0)
    theirs = np.array([RandomResizedCrop.get_params(images(1, size=64)[0], area, (3 / 4, 4 / 3)) for _ in range(4000)])
    ours = ResizedCrop(area).boxes(4000, 64, 64, np.random.default_rng(0))
    for number, name in enumerate(("top", "left", "height", "width")):
        assert ks_2samp(theirs[:, number], ours[:, number]).pvalue > 0.01, name


def test_a_part_that_fits_nowhere_is_the_whole():
    assert (ResizedCrop((1.0, 1.0), (2.0, 2.0)).boxes(5, 8, 8, np.random.default_rng(0)) == [0, 0, 8, 8]).all()
    batch = images(4)
    assert torch.equal(ResizedCrop((1.0, 1.0), (1.0, 1.0))(batch, np.random.default_rng(0)), batch)


def test_about_as_many_as_wanted_are_mirrored_and_none_is_changed_otherwise():
    batch = images(2000)
    flipped = HorizontalFlip(0.25)(batch, np.random.default_rng(0))
    mirrored = (flipped == batch.flip(-1)).flatten(1).all(1)
    same = (flipped == batch).flatten(1).all(1)
    assert (mirrored ^ same).all()
    assert mirrored.float().mean().item() == pytest.approx(0.25, abs=0.03)


def test_where_a_mirror_changes_the_label_nothing_is_mirrored():
    assert torch.equal(HorizontalFlip(1.0, allowed=False)(images(), np.random.default_rng(0)), images())


@pytest.mark.parametrize("op", [PadCrop(0.2), ResizedCrop(), HorizontalFlip(0.5)])
def test_the_draws_are_those_of_the_generator(op):
    one, same, other = (op(images(), np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_illegal_values_are_refused():
    with pytest.raises(ValueError, match="padding=-1"):
        PadCrop(-1)
    with pytest.raises(ValueError, match="probability=2"):
        HorizontalFlip(2)
    with pytest.raises(ValueError, match=r"area=\[0.5, 0.1\]"):
        ResizedCrop([0.5, 0.1])
    with pytest.raises(ValueError, match=r"aspect=\[0, 1\]"):
        ResizedCrop(aspect=[0, 1])
    for wrong in ([0.5], [0.1, 0.5, 0.9]):
        with pytest.raises(ValueError, match="two shares of the image"):
            ResizedCrop(wrong)

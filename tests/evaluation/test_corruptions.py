import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from vitlab.evaluation import corruptions
from vitlab.evaluation.corruptions import CORRUPTIONS, corrupt


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def images():
    """Smooth pictures, as photographs are."""
    coarse = torch.rand(16, 3, 5, 5, generator=draw())
    return (255 * torch.nn.functional.interpolate(coarse, size=32, mode="bicubic").clamp(0, 1)).byte()


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_changes_images_the_same_way_each_time_and_more_with_each_level(images, name):
    levels = [corrupt(images, name, level, draw()) for level in range(1, 6)]
    for corrupted in levels:
        assert (corrupted.shape, corrupted.dtype) == (images.shape, torch.uint8)
        assert not torch.equal(corrupted, images)
    assert torch.equal(levels[2], corrupt(images, name, 3, draw()))
    first, last = ((level.float() - images.float()).abs().mean() for level in (levels[0], levels[4]))
    assert name == "elastic_transform" or last > first  # whose levels trade stretching for bending


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("shape", [(1, 8), (3, 28)])
def test_small_and_grey_images_are_taken_too(name, shape):
    channels, size = shape
    image = torch.randint(0, 256, (2, channels, size, size), dtype=torch.uint8, generator=draw())
    for level in (1, 5):
        assert corrupt(image, name, level, draw()).shape == image.shape


def test_noise_is_as_strong_as_it_says():
    grey = torch.full((64, 3, 32, 32), 0.5)
    assert (corruptions.gaussian_noise(grey, 0.08, draw()) - grey).std().item() == pytest.approx(0.08, rel=0.01)
    shot = corruptions.shot_noise(grey, 60, draw())
    assert shot.mean().item() == pytest.approx(0.5, rel=0.01)
    assert shot.std().item() == pytest.approx((0.5 / 60) ** 0.5, rel=0.02)
    impulse = corruptions.impulse_noise(grey, 0.05, draw())
    assert (impulse == 0).float().mean().item() == pytest.approx(0.025, rel=0.1)
    assert (impulse == 1).float().mean().item() == pytest.approx(0.025, rel=0.1)


@pytest.mark.parametrize(
    "name", ["defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "elastic_transform", "pixelate"]
)
def test_what_only_moves_colours_leaves_one_colour_alone(name):
    plain = torch.full((2, 3, 32, 32), 77, dtype=torch.uint8)
    assert (corrupt(plain, name, 5, draw()).float() - 77).abs().max() <= 1


def test_contrast_and_brightness_are_as_worked_by_hand():
    image = torch.tensor([[0.2, 0.4], [0.6, 0.8]]).view(1, 1, 2, 2)
    assert torch.allclose(corruptions.contrast(image, 0.5, draw()).flatten(), torch.tensor([0.35, 0.45, 0.55, 0.65]))
    colour = torch.tensor([0.2, 0.4, 0.1]).view(1, 3, 1, 1)
    brighter = corruptions.brightness(colour, 0.2, draw())
    assert torch.allclose(brighter.flatten(), torch.tensor([0.3, 0.6, 0.15]))  # value 0.4 to 0.6, the same hue
    assert torch.allclose(corruptions.brightness(torch.zeros(1, 3, 1, 1), 0.2, draw()), torch.tensor(0.2))


def test_the_gaussian_blur_is_torchvisions(images):
    floats = images.float() / 255
    ours = corruptions._gaussian_blur(floats, 1.0)
    theirs = tv.gaussian_blur(floats, kernel_size=[7, 7], sigma=[1.0, 1.0])
    assert torch.allclose(ours[..., 3:-3, 3:-3], theirs[..., 3:-3, 3:-3], atol=1e-5)


def test_motion_draws_a_point_out_in_one_direction():
    point = torch.zeros(1, 1, 33, 33)
    point[..., 16, 16] = 1
    line = corruptions.motion_blur(point, 6, 3.0, draw())
    assert line.sum().item() == pytest.approx(1, abs=0.02)
    rows, columns = torch.nonzero(line[0, 0] > 0.01).float().T
    assert (columns - 16).abs().max() > 2
    assert (rows - 16).abs().max() <= (columns - 16).abs().max() + 1  # within 45 degrees

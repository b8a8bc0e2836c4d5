import math

import pytest
import torch
from timm.data.auto_augment import solarize_add
from torchvision.transforms import functional as reference

from vitlab.augment import ops

NEAREST = reference.InterpolationMode.NEAREST


def images(channels=3, size=32):
    bytes_ = torch.randint(0, 256, (6, channels, size, size), generator=torch.Generator().manual_seed(0)).byte()
    return bytes_.float() / 255


STRENGTHS = torch.tensor([-0.9, -0.3, 0.0, 0.2, 0.6, 0.95])
DEGREES = [-120.0, -30.0, 0.0, 15.0, 90.0, 135.0]


def affine(image, shear=(0.0, 0.0), translate=(0, 0), angle=0.0):
    return reference.affine(image, angle, list(translate), 1.0, list(shear), interpolation=NEAREST, fill=0)


def slant(strength):
    return math.degrees(math.atan(strength))


GEOMETRY = {
    "shear_x": (ops.shear_x, STRENGTHS, lambda i, s: affine(i, shear=(slant(s), 0.0))),
    "shear_y": (ops.shear_y, STRENGTHS, lambda i, s: affine(i, shear=(0.0, slant(s)))),
    "translate_x": (ops.translate_x, torch.arange(-9.0, 9, 3), lambda i, s: affine(i, translate=(int(s), 0))),
    "translate_y": (ops.translate_y, torch.arange(-9.0, 9, 3), lambda i, s: affine(i, translate=(0, int(s)))),
    "rotate": (ops.rotate, torch.tensor(DEGREES), lambda i, s: reference.rotate(i, s, NEAREST, fill=0)),
}


@pytest.mark.parametrize("name", GEOMETRY)
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_change_as_torchvision_changes_them(name, channels):
    op, strengths, one = GEOMETRY[name]
    batch = images(channels)
    expected = torch.stack([one(image, s) for image, s in zip(batch, strengths.tolist(), strict=True)])
    equal = (op(batch, strengths) == expected).all(dim=1)
    assert equal.float().mean() > 0.98  # a pixel between two may fall to either


COLOURS = {
    "brightness": (ops.brightness, STRENGTHS, lambda i, s: reference.adjust_brightness(i, 1 + s)),
    "color": (ops.color, STRENGTHS, lambda i, s: reference.adjust_saturation(i, 1 + s)),
    "contrast": (ops.contrast, STRENGTHS, lambda i, s: reference.adjust_contrast(i, 1 + s)),
    "sharpness": (ops.sharpness, STRENGTHS, lambda i, s: reference.adjust_sharpness(i, 1 + s)),
    "solarize": (ops.solarize, STRENGTHS.abs(), lambda i, s: reference.solarize(i, s)),
    "invert": (ops.invert, STRENGTHS, lambda i, s: reference.invert(i)),
    "auto_contrast": (ops.auto_contrast, STRENGTHS, lambda i, s: reference.autocontrast(i)),
    "identity": (ops.identity, STRENGTHS, lambda i, s: i),
}


@pytest.mark.parametrize("name", COLOURS)
@pytest.mark.parametrize("channels", [1, 3])
def test_colours_change_as_torchvision_changes_them(name, channels):
    op, strengths, one = COLOURS[name]
    batch = 0.2 + 0.6 * images(channels)
    expected = torch.stack([one(image, s) for image, s in zip(batch, strengths.tolist(), strict=True)])
    assert torch.allclose(op(batch, strengths), expected, atol=1e-5)


def as_bytes(batch):
    return (batch * 255).round().byte()


@pytest.mark.parametrize("channels", [1, 3])
def test_posterize_keeps_the_bits_that_torchvision_keeps(channels):
    batch, bits = images(channels), [8, 7, 5, 4, 3, 2]
    expected = torch.stack([reference.posterize(as_bytes(i), b) for i, b in zip(batch, bits, strict=True)])
    assert torch.equal(as_bytes(ops.posterize(batch, torch.tensor(bits).float())), expected)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("power", [1, 6])
def test_equalize_equals_torchvision_s(channels, power):
    batch = as_bytes(images(channels) ** power).float() / 255
    expected = torch.stack([reference.equalize(as_bytes(image)) for image in batch])
    assert torch.equal(as_bytes(ops.equalize(batch, STRENGTHS)), expected)


def test_a_blank_image_stays_as_it_is():
    blank = torch.full((2, 3, 8, 8), 0.4)
    for op in (ops.auto_contrast, ops.equalize):
        assert torch.allclose(op(blank, torch.zeros(2)), blank)


def test_solarize_add_is_timm_s():
    batch, added = images(), torch.tensor([0, 10, 40, 80, 109, 110])
    expected = []
    for image, value in zip(batch, added.tolist(), strict=True):
        theirs = solarize_add(reference.to_pil_image(image), value)
        expected.append(reference.to_tensor(theirs))
    assert torch.allclose(ops.solarize_add(batch, added / 255), torch.stack(expected), atol=1e-6)


def test_images_without_an_inside_are_as_sharp_as_they_were():
    images = torch.rand(2, 3, 2, 5)
    assert torch.equal(ops.sharpness(images, torch.tensor([0.5, 1.9])), reference.adjust_sharpness(images, 1.5))

import os

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from vitlab.data.decode import decode


@pytest.fixture
def save(tmp_path):
    def saved(image, name="image.png", **settings):
        image.save(tmp_path / name, **settings)
        return tmp_path / name

    return saved


def test_an_image_of_the_right_size_and_mode_is_left_as_it_is(save, rng):
    array = rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)
    assert np.array_equal(decode(save(Image.fromarray(array)), 8, 3), array.transpose(2, 0, 1))


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGB", "RGBA", "LA", "CMYK", "YCbCr"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_becomes_grey_or_colour(save, mode, channels):
    image = Image.new("RGB", (8, 8), (200, 200, 200)).convert(mode)
    path = save(image, "image.tif" if mode in ("CMYK", "YCbCr") else "image.png")
    array = decode(path, 8, channels)
    assert array.shape == (channels, 8, 8)
    assert array.dtype == np.uint8
    expected = np.asarray(image.convert("RGB" if channels == 3 else "L"))
    assert np.abs(array.astype(int).reshape(channels, -1).T - expected.reshape(64, -1)).max() <= 1


@pytest.mark.parametrize(("name", "dtype"), [("deep.png", np.uint16), ("deep.tif", np.uint16), ("deep.tif", np.int32)])
@pytest.mark.parametrize("channels", [1, 3])
def test_of_sixteen_bits_the_upper_eight_are_kept(save, rng, name, dtype, channels):
    values = rng.integers(0, 2**16, (8, 8)).astype(dtype)
    array = decode(save(Image.fromarray(values), name), 8, channels)
    assert all(np.array_equal(channel, values >> 8) for channel in array)


@pytest.mark.parametrize("value", [0.5, -1, 2**16])
def test_numbers_that_are_no_grey_are_refused(save, value):
    path = save(Image.fromarray(np.full((4, 4), value, np.float32 if value == 0.5 else np.int32)), "odd.tif")
    with pytest.raises(ValueError, match=r"odd\.tif cannot be decoded.*not whole numbers of 16 bits"):
        decode(path, 4, 1)


def test_transparency_lies_over_black(save):
    image = Image.new("RGBA", (4, 4), (255, 255, 255, 0))
    image.putpixel((1, 2), (255, 255, 255, 255))
    array = decode(save(image), 4, 1)[0]
    assert array[2, 1] == 255
    assert array.sum() == 255


@pytest.mark.parametrize("size", [(40, 20), (20, 40)])
def test_it_is_scaled_to_cover_and_cut_at_the_centre(save, size):
    image = Image.new("L", size, 0)
    width, height = size
    image.paste(255, (width // 2 - 10, height // 2 - 10, width // 2 + 10, height // 2 + 10))
    assert decode(save(image), 10, 1).min() > 200


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_is_named(tmp_path, content):
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.png cannot be decoded"):
        decode(path, 8, 3)


def test_a_truncated_image_is_named(save, rng):
    path = save(Image.fromarray(rng.integers(0, 256, (64, 64, 3)).astype(np.uint8)), "half.jpg")
    path.write_bytes(path.read_bytes()[:800])
    with pytest.raises(ValueError, match=r"half\.jpg cannot be decoded"):
        decode(path, 8, 3)


def test_a_bomb_is_not_unpacked(save, monkeypatch):
    path = save(Image.new("L", (100, 100)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ValueError, match="decompression bomb"):
        decode(path, 8, 1)


def test_a_damaged_file_of_any_format_is_named_in_one_line(save, rng):
    path = save(Image.fromarray(rng.integers(0, 256, (32, 32, 3)).astype(np.uint8)), "image.avif")
    content = path.read_bytes()
    pixels = content.index(b"mdat") + len(b"mdat")
    path.write_bytes(content[:pixels] + bytes(len(content) - pixels))
    with pytest.raises(ValueError, match=r"image\.avif cannot be decoded as an image \(.+\)$"):
        decode(path, 8, 3)


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
# Its size (8 x 8, one layer), a compression that is left to another format, and the EPS where that should lie.
IPTC = b"".join(
    b"\x1c" + tag + len(value).to_bytes(2, "big") + value
    for tag, value in [
        (b"\x03\x3c", b"\x01\x00"),
        (b"\x03\x14", b"\x08"),
        (b"\x03\x1e", b"\x08"),
        (b"\x03\x78", b"\x05"),
        (b"\x08\x0a", EPS),
    ]
)


@pytest.mark.parametrize("content", [EPS, IPTC], ids=["EPS", "EPS in IPTC"])
def test_no_image_starts_a_program(tmp_path, monkeypatch, content):
    gs = tmp_path / "gs"
    gs.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    gs.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)  # looked for once only
    path = tmp_path / "y.png"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"y\.png cannot be decoded"):
        decode(path, 8, 3)
    assert not (tmp_path / "started").exists()

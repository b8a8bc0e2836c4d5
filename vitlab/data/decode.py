"""From an image file to pixels, whatever its format, size and mode."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

_MODES = {1: "L", 3: "RGB"}
_DEEP = ("I", "I;16", "I;16L", "I;16B", "I;16N", "F")  # grey of more than 8 bits
RUN_PROGRAMS = ("EPS", "IPTC")  # Pillow gives the first to Ghostscript, and looks for it inside the second


def readable() -> list[str]:
    """The formats that are decoded, as Pillow names them: not those whose files could start a program."""
    Image.init()
    return [name for name in Image.OPEN if name not in RUN_PROGRAMS]


def decode(path: Path, image_size: int, channels: int) -> np.ndarray:
    """Decode one image: scaled so that it covers a square (bicubic, antialiased), then cut at its centre.

    Grey images become colour ones and the other way round as is wanted; of 16 bits of grey the upper 8 are kept;
    transparency is laid over black.

    Args:
        path: any format that Pillow reads without another program.
        image_size: height and width of the square, in pixels.
        channels: 1 for grey, 3 for colour.

    Returns:
        uint8 [C, H, W].

    Raises:
        ValueError: the file is no image, is damaged, is dangerously large, or holds numbers that are no 8 or 16 bits of
            grey; it is named.
    """
    try:
        with Image.open(path, formats=readable()) as file:
            image: Image.Image = ImageOps.exif_transpose(file)
            if image.mode in _DEEP:
                image = _eight_bits(image)
            if image.has_transparency_data:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
            image = image.convert(_MODES[channels])
            if image.size != (image_size, image_size):
                image = ImageOps.fit(image, (image_size, image_size), Image.Resampling.BICUBIC)
            array = np.asarray(image)  # [H, W] or [H, W, C]
    except Exception as error:  # each format of Pillow raises what it likes
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"{path} cannot be decoded as an image ({why})") from error
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _eight_bits(image: Image.Image) -> Image.Image:
    """The upper 8 of 16 bits of grey; Pillow's own conversion would turn all but the darkest into white."""
    values = np.asarray(image)
    if image.mode == "F" or values.min() < 0 or values.max() >= 2**16:
        raise ValueError("its values are not whole numbers of 16 bits, so that nothing says what is black and white")
    return Image.fromarray((values.astype(np.uint16) >> 8).astype(np.uint8))

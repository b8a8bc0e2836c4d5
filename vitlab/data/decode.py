"""From an image file to pixels, whatever its format, size and mode."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

_MODES = {1: "L", 3: "RGB"}


def decode(path: Path, image_size: int, channels: int) -> np.ndarray:
    """Decode one image: scaled so that it covers a square (bicubic, antialiased), then cut at its centre.

    Grey images become colour ones and the other way round as is wanted; transparency is laid over black.

    Args:
        path: any format that Pillow reads.
        image_size: height and width of the square, in pixels.
        channels: 1 for grey, 3 for colour.

    Returns:
        uint8 [C, H, W].

    Raises:
        ValueError: the file is no image, is damaged, or is dangerously large; it is named.
    """
    try:
        with Image.open(path) as file:
            image: Image.Image = ImageOps.exif_transpose(file)
            if image.has_transparency_data:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
            image = image.convert(_MODES[channels])
            if image.size != (image_size, image_size):
                image = ImageOps.fit(image, (image_size, image_size), Image.Resampling.BICUBIC)
            array = np.asarray(image)  # [H, W] or [H, W, C]
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be decoded as an image ({str(error).splitlines()[0]})") from error
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)

"""From a file to pixels, RGB."""

from __future__ import annotations

import warnings

from PIL import Image

from edgeeff.errors import ImageError
from edgeeff.images import arrays
from edgeeff.images.picture import Picture
from edgeeff.preprocess import Pixels, Preprocess

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm"})


def decode(picture: Picture) -> Image.Image:
    """Decode one image to RGB.

    Raises:
        ImageError: The file is not an image, or is broken.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd EXIF and palettes, and decodes them
        return _decode(picture)


def _decode(picture: Picture) -> Image.Image:
    try:
        if picture.index is not None:
            image = Image.fromarray(arrays.row(picture))
        else:
            with Image.open(picture.path) as file:
                image = file.convert("RGB")
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ImageError(
            f"{picture} cannot be decoded: {reason}", mend="replace the image or take it out"
        ) from None
    if picture.crop is not None:
        left, top, width, height = picture.crop
        image = image.crop(
            (
                round(left * image.width),
                round(top * image.height),
                max(round((left + width) * image.width), round(left * image.width) + 1),
                max(round((top + height) * image.height), round(top * image.height) + 1),
            )
        )
    return image


def try_decode(picture: Picture, preprocess: Preprocess) -> Pixels | ImageError:
    """The pixels that the network sees, uint8 [H, W, 3], or why there are none."""
    try:
        return preprocess.fit(_decode(picture))
    except ImageError as error:
        return error

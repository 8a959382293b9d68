"""From a file to pixels: 8 bits in each of the network's channels."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

from PIL import Image

from edgeeff import regular, unpacking
from edgeeff.errors import ImageError
from edgeeff.images import arrays
from edgeeff.images.picture import Picture
from edgeeff.preprocess import FOUR, MODES, Pixels, Preprocess
from edgeeff.watched import Stamp, stamp

#: What an EXIF orientation asks for (TIFF 6.0, tag 274).
ORIENTATION = 0x0112
#: Bytes of a decoded pixel as Pillow holds it.
_PIXEL = 4
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(picture: Picture, preprocess: Preprocess) -> Image.Image:
    """Decode one image to 8 bits in each of the network's channels, upright if the preprocessing says so.

    Raises:
        ImageError: The file is not an image, or is broken, or which of its values is white cannot be told.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd EXIF and palettes, and decodes them
        return _decode(picture, preprocess)


def _decode(picture: Picture, preprocess: Preprocess) -> Image.Image:
    try:
        if picture.index is not None:
            image = _array(picture, preprocess)
        else:
            if regular.exists(picture.path) and not regular.is_file(
                picture.path
            ):  # a pipe would be waited for
                raise OSError(0, "it is no regular file")
            with Image.open(picture.path) as file:
                refuse_bomb(file, picture.path)
                image = upright(file, preprocess)
    except ImageError as error:
        raise ImageError(f"{picture}: {error.what}", mend=error.mend) from None
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ImageError(
            f"{picture} cannot be decoded: {reason}",
            mend="replace the image or take it out; many kinds of TIFF (float colours among them) have to be "
            "saved as PNG"
            if picture.path.suffix.lower() in (".tif", ".tiff")
            else "replace the image or take it out",
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


def refuse_bomb(image: Image.Image, path: Path) -> None:
    """Refuse an image, not yet decoded, whose few bytes claim a picture that no camera packs so small.

    Raises:
        ImageError: It is such an image.
    """
    held, becomes = path.stat().st_size, image.width * image.height * _PIXEL
    if unpacking.absurd(becomes, held):
        raise ImageError(
            f"it claims {image.width} x {image.height} pixels, and its file has {held} bytes",
            mend="take the image out, or make it smaller",
        )


def upright(image: Image.Image, preprocess: Preprocess) -> Image.Image:
    """An image with 8 bits in each of the network's channels, turned if the preprocessing says so.

    Raises:
        ImageError: Which of its values is white cannot be told.
    """
    return turned(preprocess.coloured(image), orientation(image), preprocess)


def turned(image: Image.Image, orientation: int, preprocess: Preprocess) -> Image.Image:
    """An image of that EXIF orientation, turned if the preprocessing says so."""
    turn = _TURNS.get(orientation) if preprocess.exif else None
    return image if turn is None else image.transpose(turn)


def orientation(image: Image.Image) -> int:
    """The EXIF orientation of an image; 1, upright, where there is none or it makes no sense."""
    if image.format == "TIFF":
        return 1  # Pillow turns these itself, whenever it loads them
    try:
        found = image.getexif().get(ORIENTATION, 1)
    except (OSError, ValueError, SyntaxError, KeyError, TypeError, struct.error):
        return 1
    return found if found in _TURNS else 1


def sizes(pictures: Sequence[Picture], preprocess: Preprocess) -> list[tuple[int, int] | None]:
    """Width and height of each photo as :func:`decode` gives it; None of a file that is no image."""
    with warnings.catch_warnings(), ThreadPoolExecutor(2) as pool:
        warnings.simplefilter("ignore")
        return list(pool.map(lambda picture: _size(picture, preprocess), pictures, chunksize=64))


def _size(picture: Picture, preprocess: Preprocess) -> tuple[int, int] | None:
    try:
        if picture.index is not None:
            height, width = _row(picture, preprocess).shape[:2]
            return width, height
        if not regular.is_file(picture.path):
            return None
        return _file_size(picture.path, stamp(picture.path), preprocess.exif)
    except (ImageError, OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError):
        return None


def turned_unseen(picture: Picture) -> bool:
    """Whether a photo's EXIF orientation turns or mirrors it and keeps its size."""
    if picture.index is not None or not regular.is_file(picture.path):
        return False
    try:
        return _turned_unseen(picture.path, stamp(picture.path))
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError):
        return False


@lru_cache(maxsize=1 << 17)
def _turned_unseen(path: Path, seen: Stamp) -> bool:
    del seen  # part of the cache's key
    with warnings.catch_warnings(), Image.open(path) as file:
        warnings.simplefilter("ignore")
        said = orientation(file)
        return said in (2, 3, 4) or (said != 1 and file.width == file.height)


@lru_cache(maxsize=1 << 17)
def _file_size(path: Path, seen: Stamp, exif: bool) -> tuple[int, int]:
    del seen  # part of the cache's key: several bundles ask of the same photos
    with Image.open(path) as file:
        tiff = file.format == "TIFF"  # which Pillow turns itself
        said = file.getexif().get(ORIENTATION, 1) if tiff else orientation(file)
        return file.size[::-1] if said in (5, 6, 7, 8) and (tiff or exif) else file.size


def _array(picture: Picture, preprocess: Preprocess) -> Image.Image:
    """A row of an .npz, or a frame of a clip."""
    pixels = _row(picture, preprocess)
    channels = pixels.shape[2]
    if 4 in (channels, preprocess.channels) and channels != preprocess.channels:
        raise ImageError(
            f"it has {channels} channels, and the network takes {preprocess.channels}",
            mend=f"save images of {preprocess.channels} channels",
        )
    if channels == 1:
        return Image.fromarray(pixels[..., 0]).convert(MODES[preprocess.channels])
    image = Image.frombytes("RGB" if channels == 3 else FOUR, pixels.shape[1::-1], pixels.tobytes())
    return image if channels == 4 else image.convert(MODES[preprocess.channels])


def _row(picture: Picture, preprocess: Preprocess) -> Pixels:
    if picture.frames is not None and picture.index is not None:
        return picture.frames.row(picture.path, picture.index, preprocess)
    return arrays.row(picture)


def try_decode(picture: Picture, preprocess: Preprocess) -> Pixels | ImageError:
    """The pixels that the network sees, uint8 [H, W, C], or why there are none."""
    return try_decode_each(picture, [preprocess])[0]


def try_decode_each(picture: Picture, preprocesses: Sequence[Preprocess]) -> list[Pixels | ImageError]:
    """The same for several preprocessings: the file is decoded once, and fitted as each of them wants."""
    images: dict[tuple[object, ...], Image.Image | ImageError] = {}
    found: list[Pixels | ImageError] = []
    for preprocess in preprocesses:
        # What decides how the file is read; all else is done to the image.
        key = (preprocess.exif, preprocess.white, preprocess.channels)
        if key not in images:
            images[key] = try_image(picture, preprocess)
        image = images[key]
        try:
            found.append(image if isinstance(image, ImageError) else preprocess.fit(image))
        except ImageError as error:
            found.append(error)
    return found


def try_image(picture: Picture, preprocess: Preprocess) -> Image.Image | ImageError:
    """The photo as :func:`decode` gives it, or why there is none; for threads, within :func:`ahead.quiet`."""
    try:
        return _decode(picture, preprocess)
    except ImageError as error:
        return error

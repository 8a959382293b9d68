"""Pixels of more than 8 bits, brought to the 8 bits that networks are trained on.

Pillow's own conversions clip (a 16-bit grey photo becomes white, a float one of 0…1 black), so the range is
looked for, in this order:

1. what the file declares, where that is less than its container holds: a PNG's sBIT chunk, a TIFF's 12 bits
   or its MaxSampleValue of 2ⁿ − 1;
2. the value of white that the user gives (``--white``), for whatever declares nothing;
3. what the container holds (65535), or a guess from the values where they all lie far below it: a guess is to
   be said to the user, as :mod:`edgeeff.images.survey` does for a whole set.

A whole number v of white 2ⁿ − 1 becomes v >> (n − 8), as Pillow and OpenCV read 16-bit colour images, so that
an image saved with v·257, v·256 or v·16 gives back its v. Values of other ranges are scaled and rounded.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgeeff.errors import ImageError

Kind = Literal["16-bit", "32-bit integer", "float"]
Basis = Literal["declared", "given", "container", "guessed"]

_GREY_16 = frozenset({"I;16", "I;16B", "I;16L", "I;16N"})
FULL_16 = 65535.0
#: Whites that values are guessed to have where nothing says it: 8-bit and 12-bit data in a wider container.
_USUAL = (255.0, 4095.0, FULL_16)
#: Floats up to 1 or 255, and as far beyond as a resampling filter overshoots.
_UNIT, _MOST_UNIT, _MOST_BYTE = 1.0, 2.0, 300.0
#: Below zero by more than this share of white: no overshoot, but an image that is normalised already.
_UNDERSHOOT = 0.05
#: A white is wrong if more than this share of the values lies above it, by more than this factor.
_ABOVE_SHARE, _ABOVE = 0.01, 1.01
_WHITE = "say which value is white with --white, or save the images with 8 bits"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_BITS_PER_SAMPLE, _PHOTOMETRIC, _MAX_SAMPLE = 258, 262, 281  # TIFF's tags
#: The other byte of each 16-bit sample: Pillow keeps the upper one of colour images.
_SWAPPED = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}


@dataclass(frozen=True)
class Range:
    """How the values of one image were read.

    Args:
        kind: Of the container.
        white: The value that becomes 255.
        basis: Where that is from.
        largest: The largest value of the image.
    """

    kind: Kind
    white: float
    basis: Basis
    largest: float


def kind(image: Image.Image) -> Kind | None:
    """What an image that is deeper than 8 bits is stored as, told from its header; else None."""
    if image.mode == "F":
        return "float"
    if image.mode in _GREY_16 or any(";16" in raw for raw in _raw_modes(image)):
        return "16-bit"
    if image.mode == "I":
        return "16-bit" if image.format in ("PNG", "PPM") else "32-bit integer"
    return None


def declared(image: Image.Image) -> float | None:
    """The white that an image's file declares, where that is less than its container holds; before it is
    loaded."""
    bits = 0
    if image.format == "PNG":
        bits = _significant_bits(image)
    elif image.format == "TIFF":
        tags: Any = getattr(image, "tag_v2", {})
        bits = int(np.max(tags.get(_BITS_PER_SAMPLE, 0)))
        most = int(np.max(tags.get(_MAX_SAMPLE, 0)))
        if most > 255 and most & (most + 1) == 0:
            bits = most.bit_length()
    elif image.format == "PPM" and any(codec.startswith("ppm") for codec in _codecs(image)):
        return FULL_16  # Pillow has scaled the file's own maxval to that
    return float(2**bits - 1) if 8 <= bits < 16 else None


def eight_bits(image: Image.Image, white: float | None = None) -> tuple[Image.Image, Range | None]:
    """An image with 8 bits a channel, and how its range was read; one that has 8 bits already as it is.

    Args:
        image: Opened; loaded or not.
        white: The value that is white, for an image that declares none.

    Raises:
        ImageError: No white can be right: values lie below zero, or far above.
        OSError: The file is broken.
    """
    stored = kind(image)
    if stored is None:
        _refuse_misread(image)
        return image, None
    said, source = declared(image), _Source.of(image)
    values: npt.NDArray[Any] = np.asarray(image)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ImageError("it holds NaN or infinite values", mend="save it anew, without them")
    if source is not None:  # colours, of which Pillow keeps the upper byte
        upper = float(_colours(values).max(initial=0)) * 256 + 255
        if said is None and white is None and upper > _USUAL[1]:
            return image, Range(stored, FULL_16, "container", upper)
        values = values.astype(np.uint16) * np.uint16(256) + source.lower_bytes()
    largest = float(_colours(values).max(initial=0))
    found, basis = _white(stored, white, largest, said)
    _refuse(_colours(values), found, basis)
    scaled = _scaled(values, found)
    if image.format == "TIFF" and getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0:
        scaled = 255 - scaled  # white is zero: Pillow turns 8 bits around, and no others
    mode = "L" if scaled.ndim == 2 else image.mode
    return Image.frombytes(mode, image.size, scaled.tobytes()), Range(stored, found, basis, largest)


def _colours(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The values without those of transparency."""
    return values[..., :-1] if values.ndim == 3 and values.shape[2] in (2, 4) else values


def _white(stored: Kind, given: float | None, largest: float, said: float | None) -> tuple[float, Basis]:
    """The white of some values, and where it is from."""
    if said is not None:
        return said, "declared"
    if stored == "float" and largest <= _MOST_UNIT and (given is None or given > _MOST_UNIT):
        return _UNIT, "guessed"  # with any other white it would be black
    if given is not None:
        return given, "given"
    if stored == "float":
        if largest <= _MOST_BYTE:
            return 255.0, "guessed"
    elif stored == "16-bit":
        white = next((white for white in _USUAL if largest <= white), FULL_16)
        return (white, "guessed") if largest > 0 and white < FULL_16 else (FULL_16, "container")
    elif largest <= FULL_16:
        return next(white for white in _USUAL if largest <= white), "guessed"
    raise ImageError(f"its values reach {largest:g}, and nothing says which is white", mend=_WHITE)


def _refuse(values: npt.NDArray[Any], white: float, basis: Basis) -> None:
    lowest = float(values.min(initial=0))
    if lowest < -_UNDERSHOOT * white:
        raise ImageError(
            f"its values reach from {lowest:g} to {float(values.max()):g}",
            mend="save the pixels as they were before they were normalised, from 0 up",
        )
    if basis != "guessed" and float((values > _ABOVE * white).mean()) > _ABOVE_SHARE:
        raise ImageError(
            f"its values reach {float(values.max()):g}, but white is {basis} to be {white:g}", mend=_WHITE
        )


def _scaled(values: npt.NDArray[Any], white: float) -> npt.NDArray[np.uint8]:
    if values.dtype.kind == "f":
        return np.rint(np.clip(values.astype(np.float64) / white, 0, 1) * 255).astype(np.uint8)
    whole = np.clip(values.astype(np.int64), 0, int(white))
    return (whole * 256 // (int(white) + 1)).astype(np.uint8)


@dataclass(frozen=True)
class _Source:
    """A file of 16-bit colours, to be read once more: taken from an image before it is loaded."""

    file: Any
    raw: str

    @classmethod
    def of(cls, image: Image.Image) -> _Source | None:
        """None where Pillow keeps all of the bits."""
        raw = next((mode for mode in _raw_modes(image) if ";16" in mode), "")
        if not raw or image.mode in _GREY_16 or image.mode in ("I", "F"):
            return None
        return cls(getattr(image, "filename", "") or getattr(image, "fp", None), raw)

    def lower_bytes(self) -> npt.NDArray[np.uint8]:
        """What Pillow leaves out: read again, as if the bytes lay the other way round."""
        if not isinstance(self.file, str | bytes):
            self.file.seek(0)
        try:
            with Image.open(self.file) as again:
                frame: Any = again
                raw = self.raw[:-1] + _SWAPPED[self.raw[-1]]
                frame.tile = [_with_raw_mode(tile, raw) for tile in frame.tile]
                return np.asarray(frame)
        except (ValueError, KeyError) as error:  # Pillow does not read this kind the other way round
            raise ImageError(
                f"only the upper 8 bits of its 16 can be read ({error})",
                mend="save the images with 8 bits, or without transparency",
            ) from None


def _with_raw_mode(tile: Any, raw: str) -> Any:
    arguments = raw if isinstance(tile[3], str) else (raw, *tile[3][1:])
    return tile._replace(args=arguments) if hasattr(tile, "_replace") else (*tile[:3], arguments)


def _codecs(image: Image.Image) -> list[str]:
    """Pillow's decoders of a file that is not loaded yet."""
    return [str(tile[0]) for tile in getattr(image, "tile", None) or []]


def _refuse_misread(image: Image.Image) -> None:
    """Refuse a TIFF of 16-bit colours in a plane each, whose bytes Pillow takes for samples."""
    tags: Any = getattr(image, "tag_v2", {})
    bits = int(np.max(tags.get(_BITS_PER_SAMPLE, 0))) if image.format == "TIFF" else 0
    if bits > 8 and len(image.mode) > 1 and "raw" in _codecs(image):
        raise ImageError(
            f"it is a TIFF of {bits} bits with a plane for each colour, which Pillow misreads",
            mend="save it with the colours of a pixel beside each other, or as PNG",
        )


def _raw_modes(image: Image.Image) -> list[str]:
    """How a file that is not loaded yet stores its samples, as Pillow's decoders call it."""
    found = []
    for tile in getattr(image, "tile", None) or []:
        arguments = tile[3]
        found.append(arguments if isinstance(arguments, str) else next(iter(arguments or ()), ""))
    return [raw for raw in found if isinstance(raw, str)]


def _significant_bits(image: Image.Image) -> int:
    """The largest value of a PNG's sBIT chunk (PNG specification, 11.3.2.7); 0 where there is none."""
    file: Any = getattr(image, "fp", None)
    if file is None or getattr(file, "closed", False):
        return 0
    position = file.tell()
    try:
        file.seek(0)
        if file.read(len(_SIGNATURE)) != _SIGNATURE:
            return 0
        while len(head := file.read(8)) == 8 and head[4:] not in (b"IDAT", b"IEND"):
            length = int.from_bytes(head[:4], "big")
            if head[4:] == b"sBIT" and 0 < length <= 4:
                return int(max(file.read(length)))
            file.seek(length + 4, 1)
        return 0
    finally:
        file.seek(position)

"""What a file of a mask says of each pixel: a number, or a colour that a palette numbers.

Grey files of 1 to 16 bits, and files with a palette of their own (VOC's), hold numbers; of a palette's
colours nothing is read, unless there is a list of colours.
RGB files need one (CamVid's ``label_colors.txt``).
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgeeff import regular, text
from edgeeff.errors import ImageError, LabelsError
from edgeeff.images.decoding import orientation, refuse_bomb
from edgeeff.watched import Stamp, stamp

Array = npt.NDArray[Any]
#: What is ignored where nobody says anything: what VOC, ADE20K and Cityscapes' training ids leave open.
IGNORE = (255,)
#: Files whose pixels are exact.
SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".gif", ".pgm", ".ppm", ".webp")
#: Numbers that a mask can hold.
LARGEST = 65_535
_COLOUR = re.compile(r"\s*(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(\d{1,3})(?:[\s,;:]+(\S.*?))?\s*", re.ASCII)


@dataclass(frozen=True)
class Colours:
    """Colours of RGB masks.

    Args:
        values: Each as 65536·R + 256·G + B, by its number.
        names: Of the classes, by number; none where the list has none.
    """

    values: tuple[int, ...]
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rule:
    """How numbers of masks are understood.

    Args:
        ignore: Numbers of pixels that are not scored and not learned; None: :data:`IGNORE`.
        colours: Of RGB masks; None: these cannot be read.
        names: Of the masks' classes, by number; none where nothing says them.
    """

    ignore: tuple[int, ...] | None = None
    colours: Colours | None = None
    names: tuple[str, ...] = field(default=())

    @property
    def ignored(self) -> tuple[int, ...]:
        """Numbers that are ignored."""
        return IGNORE if self.ignore is None else self.ignore

    @property
    def called(self) -> tuple[str, ...]:
        """The names of the classes, by number."""
        return self.names or (self.colours.names if self.colours is not None else ())


@dataclass(frozen=True)
class Seen:
    """What one file holds.

    Args:
        size: Width and height, pixels.
        counts: Pixels of each number, as pairs.
    """

    size: tuple[int, int]
    counts: tuple[tuple[int, int], ...]


def read_colours(path: Path) -> Colours:
    """A list of colours: ``64 128 64 Animal`` on each line, the first of them class 0.

    Raises:
        LabelsError: It is no such list, or a colour or a name stands twice.
    """
    values, names = [], []
    for count, line in enumerate(text.lines(path, LabelsError, 1 << 20), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _COLOUR.fullmatch(line)
        numbers = [int(found[i]) for i in (1, 2, 3)] if found else []
        if found is None or max(numbers) > 255:
            raise LabelsError(
                f"{path}, line {count}: {line.strip()!r:.60} is no colour",
                mend="write R G B name on each line, such as 64 128 64 animal; the first is class 0",
            )
        values.append((numbers[0] << 16) + (numbers[1] << 8) + numbers[2])
        names.append(found[4] or "")
    twice = [f"{value:06x}" for value, count in Counter(values).items() if count > 1]
    twice += [name for name, count in Counter(names).items() if count > 1 and name]
    if not values or twice:
        what = f"has {twice[0]} twice" if twice else "names no colour"
        raise LabelsError(f"{path} {what}", mend="write each class's colour and name once")
    return Colours(tuple(values), tuple(names) if all(names) else ())


def pixels(path: Path, colours: Colours | None = None) -> Array:
    """The number of each pixel, uint8, uint16 or int32 [H, W].

    Raises:
        ImageError: It is no image, or of colours that nothing numbers.
    """
    if path.suffix.lower() in (".jpg", ".jpeg"):
        raise ImageError(f"{path} is a JPEG, which changes the numbers of pixels", mend="save masks as PNG")
    try:
        if not regular.is_file(path):
            raise OSError("no such file")
        with warnings.catch_warnings(), Image.open(path) as file:
            warnings.simplefilter("ignore")
            refuse_bomb(file, path)
            packed = _packed(file)  # which is no longer known once the pixels are there
            _refuse_changed(file, packed, path)
            mode, found = file.mode, _array(file, packed, colours)
    except ImageError as error:
        raise ImageError(f"{path}: {error.what}", mend=error.mend) from None
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise ImageError(
            f"{path} cannot be decoded: {error}", mend="replace the mask or take it out"
        ) from None
    if mode == "P" and found.ndim == 3:  # which colours number
        mode = "RGBA"
    if found.ndim == 2 and mode in ("L", "P", "1", "I", "I;16", "I;16B", "I;16L"):
        if found.size and (found.min() < 0 or found.max() > LARGEST):
            raise ImageError(f"{path} holds {found.max()}", mend=f"number classes from 0 to {LARGEST}")
        return np.asarray(found, np.uint8 if mode == "1" else found.dtype)
    if mode not in ("RGB", "RGBA", "LA"):
        raise ImageError(f"{path} is an image of the kind {mode}", mend="save masks as 8-bit grey PNG")
    return _of_colours(path, found, colours)


def _refuse_changed(file: Image.Image, packed: str, path: Path) -> None:
    """Refuse a file whose pixels are not the numbers that were saved, or do not lie where they show.

    Raises:
        ImageError: It is compressed with loss, holds colours of 16 bits, which Pillow cuts to 8, or is turned
            by its EXIF orientation.
    """
    lossy = file.format in ("JPEG", "MPO", "JPEG2000", "AVIF")
    lossy |= file.format == "TIFF" and file.info.get("compression") in ("jpeg", "tiff_jpeg", "webp")
    lossy |= file.format == "WEBP" and _lossy_webp(path)
    if lossy:
        raise ImageError(
            f"it is a {file.format} compressed with loss, which changes the numbers of pixels",
            mend="save masks as PNG",
        )
    if file.mode in ("RGB", "RGBA", "LA") and ";16" in packed:
        raise ImageError("it has colours of 16 bits", mend="save masks as grey PNG of 8 or 16 bits")
    if orientation(file) != 1:
        raise ImageError(
            "it is turned by its EXIF orientation, which not every reader of masks regards",
            mend="save the mask upright, without that",
        )


def _lossy_webp(path: Path) -> bool:
    """Whether a WebP file's pixels are VP8's (RFC 9649): those of VP8L are exact."""
    with path.open("rb") as file:
        start = file.read(12)
        while len(head := file.read(8)) == 8 and start[8:] == b"WEBP":
            if head[:4] in (b"VP8 ", b"VP8L", b"ANMF"):
                return head[:4] != b"VP8L"
            length = int.from_bytes(head[4:], "little")
            file.seek(length + length % 2, 1)
    return True


def _packed(file: Image.Image) -> str:
    """How the file's pixels are packed, in Pillow's words, such as ``L;4``."""
    tiles = getattr(file, "tile", None)
    packed = tiles[0][3] if tiles else ""
    while isinstance(packed, tuple):
        packed = packed[0] if packed else ""
    return packed if isinstance(packed, str) else ""


def _array(file: Image.Image, packed: str, colours: Colours | None) -> Array:
    """The file's numbers, or colours.

    Raises:
        ImageError: Pixels of it are transparent.
    """
    narrow = {"L;2": 85, "L;4": 17}.get(packed, 1)  # by which Pillow multiplies grey of few bits
    by_colour = file.mode == "P" and colours is not None
    found = np.asarray(file.convert("RGBA") if by_colour else file)
    if found.ndim == 3 and found.shape[2] in (2, 4) and (found[..., -1] != 255).any():
        count = int((found[..., -1] != 255).sum())
        raise ImageError(
            f"{count} pixels of it are transparent, and nothing says of which class these are",
            mend="save masks without transparency; pixels of no class as a number that is ignored (255)",
        )
    return found // narrow if narrow > 1 else found


def _of_colours(path: Path, found: Array, colours: Colours | None) -> Array:
    """The numbers of colours [H, W, 2…4]; of grey that is saved as colours its value."""
    if colours is None:
        if found.shape[2] == 2 or ((found[..., 0] == found[..., 1]) & (found[..., 1] == found[..., 2])).all():
            return found[..., 0]
        raise ImageError(
            f"{path} has colours, and nothing says which class each is",
            mend="name a list of them with --palette FILE (R G B name on each line), or save class numbers",
        )
    if found.shape[2] == 2:
        found = np.repeat(found[..., :1], 3, axis=2)
    values = (found[..., :3].astype(np.int32) << np.array([16, 8, 0])).sum(2)
    order = np.argsort(colours.values)
    known = np.array(colours.values)[order]
    at = np.minimum(np.searchsorted(known, values), len(known) - 1)
    if (other := known[at] != values).any():
        value = int(values[other][0])
        raise ImageError(
            f"{path} has {int(other.sum())} pixels of colours that the palette lacks, such as "
            f"{value >> 16} {value >> 8 & 255} {value & 255}",
            mend="complete the palette; masks that were resized with interpolation have mixed colours",
        )
    return np.asarray(order[at], np.int32)


def seen(paths: Sequence[Path], colours: Colours | None = None) -> list[Seen | ImageError]:
    """What each of some files holds, or why it cannot be read; each file is decoded once."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda path: _seen(path, stamp(path), colours), paths, chunksize=16))


@lru_cache(maxsize=1 << 16)
def _seen(path: Path, when: Stamp, colours: Colours | None) -> Seen | ImageError:
    del when  # part of the cache's key: several bundles ask of the same masks
    try:
        found = pixels(path, colours)
    except ImageError as error:
        return error
    counts = np.bincount(found.ravel())
    present = np.flatnonzero(counts)
    return Seen(found.shape[::-1], tuple(zip(present.tolist(), counts[present].tolist(), strict=True)))  # type: ignore[arg-type]

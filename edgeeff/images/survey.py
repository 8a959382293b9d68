"""What the files of a set hold beside 8-bit RGB, found out before they are used, and what is done about it.

Deep pixels, EXIF orientations, transparency and CMYK all change what a network sees. Only the headers of the
files are read, and the pixels of some deep ones where their range is not declared: one white is chosen for
all of them, so that a photo means the same alone and in its set.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image

from edgeeff import depth, regular
from edgeeff.errors import ImageError
from edgeeff.images.decoding import orientation, refuse_bomb
from edgeeff.images.picture import Picture
from edgeeff.preprocess import Preprocess

#: Deep images whose values are looked at, spread over the set.
SAMPLE = 32
#: Files that a thread looks at before it hands over what it saw: to hand over each costs as much as to look.
_TOGETHER = 64
#: Where Pillow finds the orientation of a PNG.
_EXIF = frozenset({"exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp"})
#: As wide as sensors' data are, in a container of 16 bits.
_SENSOR_BITS = (8, 10, 12, 14)


@dataclass(frozen=True)
class Survey:
    """What was found.

    Args:
        preprocess: With the white of the set's 16-bit images, where it had to be guessed.
        lines: What is done, for the user to see.
        warnings: What of that is a guess.
    """

    preprocess: Preprocess
    lines: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Header:
    depth: depth.Kind | None = None
    declared: float | None = None
    turned: bool = False
    mode: str = ""
    several: bool = False


def survey(pictures: Sequence[Picture], preprocess: Preprocess) -> Survey:
    """Look at the files of some pictures; those that cannot be read say nothing here."""
    files = list(dict.fromkeys(picture.path for picture in pictures if picture.index is None))
    with warnings.catch_warnings(), ThreadPoolExecutor(2) as pool:
        warnings.simplefilter("ignore")
        parts = [files[start : start + _TOGETHER] for start in range(0, len(files), _TOGETHER)]
        headers = dict(zip(files, chain.from_iterable(pool.map(_headers, parts)), strict=True))
        lines, guesses = _colours(headers, preprocess), _made_up(headers, preprocess)
        for kind in dict.fromkeys(header.depth for header in headers.values() if header.depth):
            found = {path: header for path, header in headers.items() if header.depth == kind}
            preprocess, told, warned = _deep(kind, found, preprocess, len(files))
            lines += told
            guesses += warned
    return Survey(preprocess, tuple(lines), tuple(guesses))


def _headers(paths: Sequence[Path]) -> list[_Header]:
    return [_header(path) for path in paths]


def _header(path: Path) -> _Header:
    try:
        if not regular.is_file(path):  # a pipe would be waited for
            return _Header()
        with Image.open(path) as image:
            refuse_bomb(image, path)
            kind = depth.kind(image)
            mode = "transparent" if _transparent(image) else image.mode
            # A PNG without any of them is decoded to look for what may come behind the pixels.
            has_exif = image.format != "PNG" or not _EXIF.isdisjoint(image.info)
            turned = has_exif and orientation(image) != 1
            several = bool(getattr(image, "is_animated", False))
            return _Header(kind, depth.declared(image) if kind else None, turned, mode, several)
    except (ImageError, OSError, ValueError, SyntaxError, EOFError, KeyError, Image.DecompressionBombError):
        return _Header()


def _transparent(image: Image.Image) -> bool:
    return image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info


def _made_up(headers: dict[Path, _Header], preprocess: Preprocess) -> list[str]:
    """A channel that the network reads and the files do not hold."""
    modes = Counter(header.mode for header in headers.values())
    opaque = len(headers) - modes["transparent"] - modes[""]
    if preprocess.channels != 4 or not opaque:
        return []
    return [f"{opaque} of {_images(len(headers))} have no fourth channel: it is taken to be 255 throughout"]


def _colours(headers: dict[Path, _Header], preprocess: Preprocess) -> list[str]:
    """Orientation, transparency and CMYK."""
    total, modes = len(headers), Counter(header.mode for header in headers.values())
    lines = []
    if turned := sum(header.turned for header in headers.values()):
        done = (
            "they are turned upright (--exif)"
            if preprocess.exif
            else "it is not applied, as in timm, torchvision and Keras; --exif turns them upright"
        )
        lines.append(f"{turned} of {_images(total)} have an EXIF orientation: {done}")
    if (transparent := modes["transparent"]) and preprocess.channels != 4:
        lines.append(
            f"{transparent} of {_images(total)} have transparency: it is dropped, and what lies beneath is "
            "seen, as torchvision and Keras do"
        )
    if several := sum(header.several for header in headers.values()):
        lines.append(f"{several} of {_images(total)} hold several frames or pages: the first one is taken")
    if cmyk := modes["CMYK"]:
        lines.append(f"{cmyk} of {_images(total)} are CMYK: made RGB without their colour profile")
    if preprocess.channels == 1 and (coloured := sum(modes[m] for m in ("RGB", "transparent", "CMYK", "P"))):
        lines.append(
            f"{coloured} of {_images(total)} are in colour: made grey by 0.299 R + 0.587 G + 0.114 B"
        )
    return [f"pixels   {line}" for line in lines]


def _deep(
    kind: depth.Kind, found: dict[Path, _Header], preprocess: Preprocess, total: int
) -> tuple[Preprocess, list[str], list[str]]:
    """What becomes of the images of one kind: the preprocessing, lines and warnings."""
    lines: list[str] = []
    guesses: list[str] = []
    for white, count in Counter(h.declared for h in found.values() if h.declared is not None).items():
        lines.append(f"pixels   {count} of {_images(total)} are {kind} and declare 0…{white:g}")
    silent = [path for path, header in found.items() if header.declared is None]
    ranges = [seen for path in _spread(silent) if (seen := _range(path, preprocess)) is not None]
    if not ranges:
        return preprocess, lines, guesses
    largest = max(seen.largest for seen in ranges)
    if kind == "16-bit":
        # The brightest image of the set says it for all: a dark one alone would be taken for less.
        brightest = max(ranges, key=lambda seen: seen.white)
        ranges = [replace(brightest, largest=largest)]
        if brightest.basis == "guessed":
            preprocess = replace(preprocess, white=brightest.white)
    for white, basis in dict.fromkeys((seen.white, seen.basis) for seen in ranges):
        what = f"{len(silent)} of {_images(total)} are {kind}"
        if basis == "guessed":
            guesses.append(
                f"{what} and do not declare their range; the largest value is {largest:g}, so 0…{white:g} is "
                f"taken for it, which is a guess: --white says otherwise{_hint(kind, largest, white)}"
            )
        elif basis == "container" and (hint := _hint(kind, largest, white)):
            guesses.append(f"{what}, and the largest value is {largest:g} of {white:g}{hint}")
        else:
            said = " (--white)" if basis == "given" else ""
            lines.append(f"pixels   {what}: 0…{white:g} becomes 0…255{said}")
    return preprocess, lines, guesses


def _hint(kind: depth.Kind, largest: float, white: float) -> str:
    """Whose data would just fit."""
    fitting = [bits for bits in _SENSOR_BITS if largest < 2**bits < white]
    if kind != "16-bit" or not fitting:
        return ""
    return f" (data of {fitting[0]} bits: --white {2 ** fitting[0] - 1})"


def _range(path: Path, preprocess: Preprocess) -> depth.Range | None:
    try:
        with Image.open(path) as image:
            refuse_bomb(image, path)
            return depth.eight_bits(image, preprocess.white)[1]
    except (ImageError, OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError):
        return None


def _spread(paths: list[Path]) -> list[Path]:
    if len(paths) <= SAMPLE:
        return paths
    return [paths[i] for i in np.linspace(0, len(paths) - 1, SAMPLE).astype(int)]


def _images(count: int) -> str:
    return f"{count} images" if count != 1 else "1 image"

"""What a network says, drawn on a photo to be looked at: boxes, masks, or names."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from edgeeff.detection import Boxes
from edgeeff.images.mask_picture import colour_of as _colour
from edgeeff.images.mask_picture import over
from edgeeff.preprocess import FOUR
from edgeeff.tasks import Prediction
from edgeeff.text import clean

#: Sides of the smallest picture that labels can be read on: a smaller photo is drawn enlarged.
_READABLE = 320
#: Lines by which a label moves down at most, where others stand already.
_LINES = 4
#: Characters of a label that are drawn; the rest is an ellipsis.
_LETTERS = 32
#: Names that are drawn where there are no boxes.
_NAMES = 5
#: Classes of a mask that are named: the largest.
_CLASSES = 8


def drawn(image: Image.Image, found: Prediction) -> Image.Image:
    """A photo, RGB, with what was found in it: boxes with label and score, the best on top; classes of its
    pixels as colours, with a legend; else names.

    Args:
        image: As the pixels of boxes and masks count it: turned or not as the network saw it.
        found: Of it; boxes and mask in its pixels.

    Returns:
        A new picture of the photo's size; where that is too small for labels, a whole multiple of it.
    """
    picture = _rgb(image)
    scale = max(1, -(-_READABLE // max(picture.size))) if max(picture.size) < _READABLE else 1
    if scale > 1:
        width, height = picture.size
        picture = picture.resize((width * scale, height * scale), Image.Resampling.NEAREST)
    if found.mask is not None:
        picture = over(picture, found.mask)
    pen = ImageDraw.Draw(picture)
    # By area, not by the shorter side: a panorama's lines would be as thin as its height is small.
    unit = (picture.width * picture.height) ** 0.5
    font = _font(max(11, round(unit / 45)))
    if found.boxes is None:
        _draw_names(pen, found, font, _NAMES if found.mask is None else _CLASSES)
    else:
        _draw_boxes(pen, found.boxes, scale, max(2, round(unit / 300)), font)
    return picture


def _draw_boxes(pen: Any, boxes: Boxes, scale: int, line: int, font: Any) -> None:
    width, height = pen.im.size
    for box in reversed(list(boxes)):
        colour = _colour(box.index)
        left, top, right, bottom = (value * scale for value in (box.left, box.top, box.right, box.bottom))
        left, top = min(left, width - 1), min(top, height - 1)
        right, bottom = max(right - 1, left), max(bottom - 1, top)
        edge = max(1, line // 2)  # dark, so that the line shows on things of its own colour
        around = (left - edge, top - edge, right + edge, bottom + edge)
        pen.rectangle(around, outline=(0, 0, 0), width=line + 2 * edge)
        pen.rectangle((left, top, right, bottom), outline=colour, width=line)
    taken: list[tuple[float, float, float, float]] = []
    for box in boxes:
        text = f"{_label(box.label, font) or f'class {box.index}'} {box.score:.0%}"
        _write(pen, (box.left * scale, box.top * scale), text, font, _colour(box.index), taken)


def _draw_names(pen: Any, found: Prediction, font: Any, most: int) -> None:
    """Classes or labels with their probabilities, or shares, at the top left, each below the one before."""
    texts = [
        (f"{_label(one.label, font) or f'class {one.index}'} {one.probability:.0%}", _colour(one.index))
        for one in found.named[:most]
    ] or [(_label(found.absent, font) or "none", (96, 96, 96))]
    top = 0.0
    for text, colour in texts:
        taken: list[tuple[float, float, float, float]] = []
        _write(pen, (0, top), text, font, colour, taken, below=True)
        top = taken[0][3]


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == FOUR:  # four channels that are no colours: the first three are shown
        return Image.merge("RGB", image.split()[:3])
    return image.convert("RGB") if image.mode != "RGB" else image.copy()


def _write(
    pen: Any,
    corner: tuple[float, float],
    text: str,
    font: Any,
    colour: tuple[int, int, int],
    taken: list[tuple[float, float, float, float]],
    *,
    below: bool = False,
) -> None:
    """A label above its box, or inside where there is no place above or it is to be below; never outside.

    Where another one stands already (``taken``) it moves down, a few lines at most: of a crowd some are
    left out.
    """
    width, height = pen.im.size
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    pad = max(2, (bottom - top) // 5)
    wide, high = right - left + 2 * pad, bottom - top + 2 * pad
    x = max(0, min(corner[0], width - wide))
    y = corner[1] - high if corner[1] >= high and not below else corner[1]
    y = max(0, min(y, height - high))
    for lower in range(_LINES):
        if not any(_meet((x, y + lower * high, x + wide, y + (lower + 1) * high), other) for other in taken):
            y = min(y + lower * high, height - high)
            break
    else:
        return
    taken.append((x, y, x + wide, y + high))
    pen.rectangle((x, y, x + wide, y + high), fill=colour)
    pen.text((x + pad - left, y + pad - top), text, font=font, fill=_ink(colour))


def _meet(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _label(label: str, font: Any) -> str:
    """What of a label can be drawn; empty where the font has not its letters."""
    text = unicodedata.normalize("NFC", " ".join(clean(label).split()))
    if len(text) > _LETTERS:
        text = text[: _LETTERS - 1].rstrip() + "…"
    try:
        unknown = bytes(font.getmask("\uffff"))
    except UnicodeEncodeError:  # Pillow's font of bitmaps
        text = text.replace("…", "...")
        return text if text.isascii() else ""
    drawable = (
        c.isspace() or (not unicodedata.combining(c) and bytes(font.getmask(c)) != unknown) for c in text
    )
    return text if all(drawable) else ""


@lru_cache(maxsize=8)
def _font(size: int) -> Any:
    try:
        return ImageFont.load_default(size)
    except (TypeError, ImportError, OSError):  # Pillow 10.0, or one that was built without FreeType
        return ImageFont.load_default()


def _ink(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    """Black on light colours, white on dark ones: by the luma of BT.601."""
    light = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 140
    return (0, 0, 0) if light else (255, 255, 255)

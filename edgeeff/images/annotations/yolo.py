"""YOLO's text: a .txt beside each photo's folder, a line for each box (``class x y width height``).

The four are fractions of the photo's sides, x and y the centre. ``labels`` takes the place of ``images`` in
the photo's path; files beside the photos are read too. A line with more numbers is an outline, and its box
is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edgeeff import regular, text
from edgeeff.errors import LabelsError
from edgeeff.images.annotations.annotated import Annotated
from edgeeff.images.annotations.truth import Oddities, Rows, number
from edgeeff.images.picture import Picture

#: Bytes of the largest file: one of a hundred thousand boxes is smaller.
_LARGEST = 8 << 20
_MEND = "write class x y width height on each line, from 0 to 1, x and y being the box's centre"
#: Classes: no network has more.
_MOST = 1 << 20
#: The share of photos without a label file that is nothing odd: nothing is on some.
_FEW = 0.1
#: Beyond the photo by more than this part of it a box is no slip of rounding.
_OUTSIDE = 1.0


def label_file(photo: Path) -> Path | None:
    """The labels of a photo, where there are any."""
    parts = photo.parts
    places = [i for i, part in enumerate(parts[:-1]) if part == "images"]
    beside = [Path(*parts[:i], "labels", *parts[i + 1 :]) for i in reversed(places)]
    for path in (*beside, photo):
        found = path.with_suffix(".txt")
        if regular.is_file(found):
            return found
    return None


def read(pictures: Sequence[Picture], path: object, names: Sequence[str]) -> Annotated | None:
    """Photos with the boxes of their label files; None where not one has such a file.

    Args:
        pictures: The photos.
        path: What names them, for messages.
        names: Of the classes, by their numbers; none where nothing says them.

    Raises:
        LabelsError: A line is no box, or of a class beyond the names.
        MissingFileError: A label file is no text.
    """
    odd = Oddities()
    found, unlabelled, outlines, largest = [], 0, 0, -1
    for picture in pictures:
        file = label_file(picture.path)
        rows = Rows()
        if file is None:
            unlabelled += 1
        else:
            outlines += _read(file, rows, len(names), odd)
        largest = max([largest, *rows.classes])
        found.append(replace(picture, boxes=rows.truth(None, fractions=True)))
    if unlabelled == len(found):
        return None
    warnings = odd.sentences(path)
    notes = []
    if unlabelled:
        said = (
            f"{path}: {unlabelled} of {len(found)} photos have no label file: nothing is taken to be on them"
        )
        if unlabelled > _FEW * len(found):
            warnings = (*warnings, said)
        else:
            notes.append(said)
    if outlines:
        notes.append(f"{path}: {outlines} boxes are those of outlines")
    if largest < 0:
        warnings = (*warnings, f"{path}: no photo has a box")
    numbers = tuple(range(len(names) or largest + 1))
    return Annotated(found, tuple(names), numbers, warnings=warnings, notes=tuple(notes))


def _read(file: Path, rows: Rows, classes: int, odd: Oddities) -> int:
    """Add a file's boxes; how many of them are those of outlines."""
    outlines = 0
    seen: set[str] = set()
    for count, line in enumerate(text.lines(file, LabelsError, _LARGEST), 1):
        if not line.strip():
            continue
        where = f"{file}, line {count}"
        cells = line.split()
        values = [_value(cell) for cell in cells]
        cls = values[0]
        if cls is None or cls != int(cls) or not 0 <= cls < _MOST or None in values:
            raise LabelsError(f"{where}: {line.strip()!r:.60} is no box", mend=_MEND)
        if classes and cls >= classes:
            raise LabelsError(
                f"{where}: class {int(cls)}, and there are {classes} names", mend="complete the names"
            )
        if " ".join(cells) in seen:
            odd.note("boxes stand twice in a file, and count once", where)
            continue
        seen.add(" ".join(cells))
        corners = _corners([v for v in values[1:] if v is not None], where)
        outlines += len(cells) > 5
        if corners[2] <= corners[0] or corners[3] <= corners[1]:
            odd.note("boxes without an area are left out", where)
            continue
        rows.add(corners, int(cls), crowd=False)
    return outlines


def _corners(values: Sequence[float], where: str) -> tuple[float, float, float, float]:
    if len(values) == 4:
        x, y, width, height = values
        corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    elif len(values) >= 6 and len(values) % 2 == 0:
        across, down = values[0::2], values[1::2]
        corners = (min(across), min(down), max(across), max(down))
    else:
        raise LabelsError(
            f"{where} has {len(values)} numbers after the class; a box has 4, an outline 6 or more in pairs",
            mend=_MEND,
        )
    if min(corners) < -_OUTSIDE or max(corners) > 1 + _OUTSIDE:
        raise LabelsError(
            f"{where}: a corner lies at {max(corners, key=abs):g}, and 0…1 is the photo: are these pixels?",
            mend=_MEND,
        )
    return corners


def _value(cell: str) -> float | None:
    try:
        return number(float(cell)) if len(cell) < 40 else None
    except ValueError:
        return None

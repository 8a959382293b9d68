"""Lists in .csv and .tsv files: which column holds the paths, and which the classes.

The columns may be in any order, and a header may say which is which.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeeff import regular
from edgeeff.errors import LabelsError, MissingFileError
from edgeeff.images import label_columns, suffixes

#: Heads of columns, spaces and case taken off.
PATHS = frozenset(
    {
        *("path", "file", "filename", "filepath", "image", "imagepath", "imagefile", "imagename"),
        *("imageid", "img", "imgpath", "photo"),
    }
)
_NAMES = frozenset(
    {"class", "classname", "label", "labelname", "name", "category", "categoryname", "species"}
)
#: A path where no other column is one: Kaggle's, mostly without a suffix.
_IDS = frozenset({"id", "idcode", "uid", "key"})
#: The mask of the photo in the same row.
_MASKS = frozenset(
    {"mask", "masks", "maskpath", "maskfile", "segmentation", "annotation", "label", "labelpath", "gt"}
)
#: What says whether a row is one to train on or one to judge by.
_SPLITS = frozenset({"split", "set", "subset", "fold", "dataset", "datasplit", "isvalid", "istrain", "phase"})
_NUMBERS = frozenset(
    {
        *("index", "idx", "classindex", "classidx", "classid", "classnumber"),
        *("labelindex", "labelid", "target", "y"),
    }
)
MEND = "write path,class on each line: the class by its name, or by its number from 0"


@dataclass(frozen=True)
class Row:
    """A line of a list: the path, the text of its class, where it stands, and the path of its mask."""

    path: str
    label: str | None
    place: str
    there: tuple[int, ...] | None = None
    mask: str | None = None


def rows_of(
    lines: Sequence[str], path: Path, warnings: list[str]
) -> tuple[list[Row], bool | None, tuple[str, ...]]:
    """The rows, whether the header says that classes are numbers (None: it does not), and labels' columns.

    Args:
        lines: Of the file.
        path: The file.
        warnings: Grows by what may be wrong.

    Raises:
        LabelsError: No column tells the class.
        MissingFileError: It is no CSV, or a row names no image.
    """
    delimiter = "\t" if path.suffix.lower() == ".tsv" else _delimiter(lines)
    reader = csv.reader([f"{line}\n" for line in lines], delimiter=delimiter, skipinitialspace=True)
    table: list[tuple[int, list[str]]] = []
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            comment = stripped and stripped[0].startswith("#") and not exists(stripped[0], path.parent)
            if any(stripped) and not comment:
                table.append((reader.line_num, stripped))
    except csv.Error as error:
        raise MissingFileError(f"{path}, line {reader.line_num} is not CSV: {error}", mend=MEND) from None
    if not table:
        return [], None, ()
    header = _header(table, path.parent)
    if header is not None and not any(plain(cell) in PATHS | _NAMES | _NUMBERS for cell in header):
        warnings.append(f"{path}: the first row is taken for a header ({', '.join(header)})")
    body = table[1:] if header is not None else table
    if header is not None:
        warnings += _splits(header, body, path)
    if header is not None and (found := label_columns.read(header, body, _path_column(header, body))):
        rows = [Row(one.path, None, f"{path}, line {one.line}", one.there) for one in found.rows]
        return rows, None, found.columns
    if (pair := _of_masks(header, body)) is not None:
        return _masked(body, pair, path), None, ()
    where, what = _columns(header, body, path)
    rows = []
    for number, cells in body:
        place = f"{path}, line {number}"
        if where >= len(cells) or not cells[where]:
            raise MissingFileError(f"{place} names no image", mend=MEND)
        label = cells[what] if what is not None and what < len(cells) else ""
        rows.append(Row(cells[where], label or None, place))
    heads = header or []
    numbers = says_numbers(heads[what]) if what is not None and what < len(heads) else None
    return rows, numbers, ()


def _of_masks(header: Sequence[str] | None, body: Sequence[tuple[int, list[str]]]) -> tuple[int, int] | None:
    """The columns of the photos and of their masks; None: the list has no masks."""
    width = max((len(cells) for _, cells in body), default=0)
    heads = [plain(cell) for cell in header or ()]
    images = [column for column in range(width) if _holds_images(body, column)]
    what = next((i for i, head in enumerate(heads) if head in _MASKS and i in images), None)
    if what is None and len(images) == 2 == width:
        what = images[1]
    if what is None:
        return None
    where = next((i for i, head in enumerate(heads) if head in PATHS and i != what), None)
    others = [column for column in images if column != what]
    if where is None and others:
        where = others[0]
    return None if where is None else (where, what)


def _masked(body: Sequence[tuple[int, list[str]]], columns: tuple[int, int], path: Path) -> list[Row]:
    """The rows of a list of photos with masks; one without a mask has an empty cell.

    Raises:
        MissingFileError: A row names no photo.
    """
    rows = []
    for number, cells in body:
        photo, mask = (cells[i] if i < len(cells) else "" for i in columns)
        if not photo:
            raise MissingFileError(
                f"{path}, line {number} names no image", mend="write image,mask on each line"
            )
        rows.append(Row(photo, None, f"{path}, line {number}", mask=mask or None))
    return rows


def _path_column(header: Sequence[str], body: Sequence[tuple[int, list[str]]]) -> int | None:
    """The column of the paths, where no column tells the class: then labels may have a column each."""
    heads = [plain(cell) for cell in header]
    if any(head in _NAMES | _NUMBERS for head in heads):
        return None
    named = next((i for i, head in enumerate(heads) if head in PATHS), None)
    return named if named is not None else _column_of_images(body, len(heads))


def _splits(header: Sequence[str], body: Sequence[tuple[int, list[str]]], path: Path) -> list[str]:
    """A warning of rows that belong to several splits: all of them are taken."""
    for column, head in enumerate(header):
        values = sorted({cells[column] for _, cells in body if column < len(cells)})
        if plain(head) in _SPLITS and len(values) > 1:
            return [
                f"{path}: column {head} has {', '.join(values[:4])}, and the rows of all of them are taken; "
                "keep those that are meant in a list of their own"
            ]
    return []


def _delimiter(lines: Sequence[str]) -> str:
    """The separator that a CSV uses; spreadsheets write a semicolon where the comma is the decimal point."""
    first = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    return next((c for c in (",", ";", "\t") if c in re.sub(r'"[^"]*"', "", first)), ",")


def _header(table: Sequence[tuple[int, list[str]]], folder: Path) -> list[str] | None:
    """The first row, if it is a header: it names no image, and the second row does."""
    first = table[0][1]
    if any(suffixes.is_image(cell) or exists(cell, folder) for cell in first if cell):
        return None
    if any(plain(cell) in PATHS | _IDS for cell in first):
        return first
    second = table[1][1] if len(table) > 1 else []
    return first if any(suffixes.is_image(cell) for cell in second) else None


def _columns(
    header: Sequence[str] | None, body: Sequence[tuple[int, list[str]]], path: Path
) -> tuple[int, int | None]:
    """Which column holds the paths, and which the classes, if any does."""
    width = max((len(cells) for _, cells in body), default=0)
    if header is not None:
        heads = [plain(cell) for cell in header]
        where = next((i for i, head in enumerate(heads) if head in PATHS), None)
        what = next(
            (i for kind in (_NAMES, _NUMBERS) for i, head in enumerate(heads) if head in kind and i != where),
            None,
        )
        if where is None:
            where = _column_of_images(body, width)
        if where is None:
            where = next((i for i, head in enumerate(heads) if head in _IDS), 0)
        if what is None and width == 2:
            what = 1 - where
        if what is None and width > 1:
            raise LabelsError(
                f"{path}: no column of {', '.join(header)} is called class or index",
                mend="name the column that holds the class's name 'class', or its number 'index'",
            )
        return where, what
    where = _column_of_images(body, width) or 0
    if width > 2:
        raise LabelsError(f"{path} has {width} columns, and no header says what they are", mend=MEND)
    return where, 1 - where if width == 2 else None


def _column_of_images(body: Sequence[tuple[int, list[str]]], width: int) -> int | None:
    for column in range(width):
        cells = [row[column] for _, row in body if column < len(row)]
        if cells and all(suffixes.is_image(cell) for cell in cells):
            return column
    return None


def _holds_images(body: Sequence[tuple[int, list[str]]], column: int) -> bool:
    """Whether a column has files of images, and may have gaps."""
    cells = [row[column] for _, row in body if column < len(row) and row[column]]
    return bool(cells) and all(suffixes.is_image(cell) for cell in cells)


def says_numbers(head: str) -> bool | None:
    """Whether a column's head says that it holds numbers, or names; None: it may be either."""
    called = plain(head)
    return True if called in _NUMBERS else False if called in ("classname", "labelname", "name") else None


def plain(cell: str) -> str:
    """A head of a column, spaces and case taken off."""
    return re.sub(r"[\s_-]", "", cell).lower()


def exists(name: str, folder: Path) -> bool:
    """Whether a path of a list names a file."""
    return regular.is_file(folder / name)

"""Images that a text file lists: a path on each line, with its class after it if it has one.

The class is its number or its name. In .csv and .tsv files the columns may be in any order, and a header
may say which is which; in other lists the path comes first, and a comma, semicolon, tab or spaces follow.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgeeff import regular, text
from edgeeff.errors import LabelsError, MissingFileError
from edgeeff.images import label_columns, suffixes
from edgeeff.images.picture import UNLABELLED, Picture

#: Heads of columns, spaces and case taken off.
_PATHS = frozenset(
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
#: What says whether a row is one to train on or one to judge by.
_SPLITS = frozenset({"split", "set", "subset", "fold", "dataset", "datasplit", "isvalid", "istrain", "phase"})
_NUMBERS = frozenset(
    {
        *("index", "idx", "classindex", "classidx", "classid", "classnumber"),
        *("labelindex", "labelid", "target", "y"),
    }
)
#: As a number; table programs write a column with gaps as 3.0.
_NUMBER = re.compile(r"([+-]?\d{1,15})(?:\.0+)?", re.ASCII)
_MEND = "write path,class on each line: the class by its name, or by its number from 0"


@dataclass
class Listed:
    """What a list holds.

    Args:
        pictures: Its images, in its order.
        class_names: The names of classes, sorted, where it gives names.
        undecided: Whether numbers may be names as well: the list does not say what they are.
        warnings: What may be wrong, a sentence each.
        columns: The labels that have a column each.
    """

    pictures: list[Picture]
    class_names: tuple[str, ...] = ()
    undecided: bool = False
    warnings: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Row:
    """A line of a list: the path, the text of its class, and where it stands."""

    path: str
    label: str | None
    place: str
    there: tuple[int, ...] | None = None


def read(path: Path) -> Listed:
    """The images of a list file; paths are relative to it.

    Raises:
        LabelsError: A class is a negative number other than −1, or one image has two classes.
        MissingFileError: The file is no text, or no column of it holds paths.
    """
    lines = text.lines(path, MissingFileError)
    warnings: list[str] = []
    columns: tuple[str, ...] = ()
    if path.suffix.lower() in (".csv", ".tsv"):
        rows, numbers, columns = _of_table(lines, path, warnings)
    else:
        rows, numbers = _of_lines(lines, path)
    given = [row.label for row in rows if row.label is not None]
    undecided = numbers is None
    if numbers is None:
        numbers = all(_NUMBER.fullmatch(label) for label in given)
    names = () if numbers else tuple(sorted({label for label in given if label != str(UNLABELLED)}))
    order = {name: i for i, name in enumerate(names)}
    pictures = []
    for row in rows:
        picture = Picture(_resolved(row.path, path.parent), place=row.place, row=row.there)
        if row.label is not None and numbers:
            picture = replace(picture, label=_number(row.label, row.place))
        elif row.label in order:
            picture = replace(picture, label=order[row.label], class_name=row.label)
        pictures.append(picture)
    _refuse_no_files(pictures, path)
    undecided = undecided and numbers and not columns
    return Listed(pictures, names, undecided, (*warnings, *_twice(pictures, path)), columns)


def _refuse_no_files(pictures: Sequence[Picture], path: Path) -> None:
    """Refuse a list whose every line names nothing: it is of another form than it was taken for.

    Raises:
        MissingFileError: With what is there under a name like the first.
    """
    if not pictures or any(os.path.lexists(picture.path) for picture in pictures):
        return
    first = pictures[0]
    name = first.path.name
    there = first.path.parent.iterdir() if regular.is_folder(first.path.parent) else ()
    named = sorted(other.name for other in there if other.stem == name)
    like = [other for other in named if suffixes.is_image(other)]
    raise MissingFileError(
        f"{path}: no line names a file that is there; {first.place} is taken to name {first.path}",
        mend=f"write file names with their suffix: {like[0]}"
        if like
        else f"paths are relative to the list's folder; {_MEND}",
    )


def _of_lines(lines: Sequence[str], path: Path) -> tuple[list[_Row], bool | None]:
    """The rows, and whether the header says that classes are numbers; None: it does not say."""
    rows: list[_Row] = []
    numbers: bool | None = None
    begun = False
    for number, line in enumerate(lines, 1):
        place = f"{path}, line {number}"
        whole = line.strip()
        if not whole or (whole.startswith("#") and not _exists(_parted(whole, path.parent)[0], path.parent)):
            continue
        cells = re.split(r"[,;\t]", whole)
        if not begun and len(cells) < 3 and _plain(cells[0]) in _PATHS and not _exists(whole, path.parent):
            numbers = _says_numbers(cells[1]) if len(cells) == 2 else None
        else:
            rows.append(_Row(*_parted(whole, path.parent), place))
        begun = True
    return rows, numbers


def _parted(line: str, folder: Path) -> tuple[str, str | None]:
    """The path and the class of a line."""
    if line.startswith('"') and (quoted := re.fullmatch(r'"((?:[^"]|"")*)"\s*(?:[,;\t]?\s*(\S.*))?', line)):
        return quoted[1].replace('""', '"'), _unquoted(quoted[2])
    # After the first suffix of an image, unless another comes after it: "a.png, copy.png" is one path.
    for found in re.finditer(r"(\.\w+)\s*([,;\t\s])\s*", line):
        head, tail = line[: found.end(1)], line[found.end() :]
        if suffixes.is_image(head) and tail and not suffixes.is_image(tail):
            return (line, None) if _exists(line, folder) else (head, _unquoted(tail))
    if suffixes.is_image(line) or _exists(line, folder):
        return line, None
    numbered = re.fullmatch(r"(\S.*?)(?:\s*[,;\t]\s*|\s+)([+-]?\d+)", line, re.ASCII)
    return (numbered[1], numbered[2]) if numbered else (line, None)


def _unquoted(label: str | None) -> str | None:
    if label is not None and len(label) > 1 and label[0] == label[-1] == '"':
        return label[1:-1].replace('""', '"').strip() or None
    return label.strip() or None if label is not None else None


def _of_table(
    lines: Sequence[str], path: Path, warnings: list[str]
) -> tuple[list[_Row], bool | None, tuple[str, ...]]:
    """The rows, whether the header says that classes are numbers (None: it does not), and labels' columns."""
    delimiter = "\t" if path.suffix.lower() == ".tsv" else _delimiter(lines)
    reader = csv.reader([f"{line}\n" for line in lines], delimiter=delimiter, skipinitialspace=True)
    table: list[tuple[int, list[str]]] = []
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            comment = stripped and stripped[0].startswith("#") and not _exists(stripped[0], path.parent)
            if any(stripped) and not comment:
                table.append((reader.line_num, stripped))
    except csv.Error as error:
        raise MissingFileError(f"{path}, line {reader.line_num} is not CSV: {error}", mend=_MEND) from None
    if not table:
        return [], None, ()
    header = _header(table, path.parent)
    if header is not None and not any(_plain(cell) in _PATHS | _NAMES | _NUMBERS for cell in header):
        warnings.append(f"{path}: the first row is taken for a header ({', '.join(header)})")
    body = table[1:] if header is not None else table
    if header is not None:
        warnings += _splits(header, body, path)
    if header is not None and (found := label_columns.read(header, body, _path_column(header, body))):
        rows = [_Row(one.path, None, f"{path}, line {one.line}", one.there) for one in found.rows]
        return rows, None, found.columns
    where, what = _columns(header, body, path)
    rows = []
    for number, cells in body:
        place = f"{path}, line {number}"
        if where >= len(cells) or not cells[where]:
            raise MissingFileError(f"{place} names no image", mend=_MEND)
        label = cells[what] if what is not None and what < len(cells) else ""
        rows.append(_Row(cells[where], label or None, place))
    heads = header or []
    numbers = _says_numbers(heads[what]) if what is not None and what < len(heads) else None
    return rows, numbers, ()


def _path_column(header: Sequence[str], body: Sequence[tuple[int, list[str]]]) -> int | None:
    """The column of the paths, where no column tells the class: then labels may have a column each."""
    heads = [_plain(cell) for cell in header]
    if any(head in _NAMES | _NUMBERS for head in heads):
        return None
    named = next((i for i, head in enumerate(heads) if head in _PATHS), None)
    return named if named is not None else _column_of_images(body, len(heads))


def _splits(header: Sequence[str], body: Sequence[tuple[int, list[str]]], path: Path) -> list[str]:
    """A warning of rows that belong to several splits: all of them are taken."""
    for column, head in enumerate(header):
        values = sorted({cells[column] for _, cells in body if column < len(cells)})
        if _plain(head) in _SPLITS and len(values) > 1:
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
    if any(suffixes.is_image(cell) or _exists(cell, folder) for cell in first if cell):
        return None
    if any(_plain(cell) in _PATHS | _IDS for cell in first):
        return first
    second = table[1][1] if len(table) > 1 else []
    return first if any(suffixes.is_image(cell) for cell in second) else None


def _columns(
    header: Sequence[str] | None, body: Sequence[tuple[int, list[str]]], path: Path
) -> tuple[int, int | None]:
    """Which column holds the paths, and which the classes, if any does."""
    width = max((len(cells) for _, cells in body), default=0)
    if header is not None:
        heads = [_plain(cell) for cell in header]
        where = next((i for i, head in enumerate(heads) if head in _PATHS), None)
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
        raise LabelsError(f"{path} has {width} columns, and no header says what they are", mend=_MEND)
    return where, 1 - where if width == 2 else None


def _column_of_images(body: Sequence[tuple[int, list[str]]], width: int) -> int | None:
    for column in range(width):
        cells = [row[column] for _, row in body if column < len(row)]
        if cells and all(suffixes.is_image(cell) for cell in cells):
            return column
    return None


def _number(label: str, place: str) -> int:
    found = _NUMBER.fullmatch(label)
    if found is None or int(found[1]) < UNLABELLED:
        raise LabelsError(
            f"{place}: {label!r:.80} is no class's number", mend="classes count from 0; −1 is an unknown one"
        )
    return int(found[1])


def _says_numbers(head: str) -> bool | None:
    """Whether a column's head says that it holds numbers, or names; None: it may be either."""
    plain = _plain(head)
    return True if plain in _NUMBERS else False if plain in ("classname", "labelname", "name") else None


def _plain(cell: str) -> str:
    return re.sub(r"[\s_-]", "", cell).lower()


def _resolved(name: str, folder: Path) -> Path:
    """The path; backslashes part folders where no file has one in its name."""
    if "\\" in name and not _exists(name, folder):
        return folder / name.replace("\\", "/")
    return folder / name


def _exists(name: str, folder: Path) -> bool:
    return regular.is_file(folder / name)


def _twice(pictures: Sequence[Picture], path: Path) -> list[str]:
    """A warning of images that are listed more than once.

    Raises:
        LabelsError: One is listed with two classes.
    """
    first: dict[Path, Picture] = {}
    again = []
    for picture in pictures:
        earlier = first.setdefault(picture.path, picture)
        if earlier is picture:
            continue
        again.append(picture)
        said = [(one.label, one.class_name, one.row) for one in (earlier, picture)]
        if said[0] != said[1]:
            raise LabelsError(
                f"{picture.place}: {picture.path} has another class than in {earlier.place}",
                mend="list an image with one class",
            )
    if not again:
        return []
    return [
        f"{path}: {len(again)} of {len(pictures)} lines name an image that an earlier line names "
        f"({again[0].place.rpartition(', ')[2]}); it counts each time"
    ]

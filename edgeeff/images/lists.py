"""Images that a text file lists: a path on each line, with its class after it if it has one.

The class is its number or its name. In .csv and .tsv files the columns may be in any order, and a header
may say which is which; in other lists the path comes first, and a comma, semicolon, tab or spaces follow.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgeeff import regular, text
from edgeeff.errors import LabelsError, MissingFileError
from edgeeff.images import suffixes
from edgeeff.images.picture import UNLABELLED, Picture
from edgeeff.images.tables import MEND, PATHS, Row, exists, plain, rows_of, says_numbers

#: As a number; table programs write a column with gaps as 3.0.
_NUMBER = re.compile(r"([+-]?\d{1,15})(?:\.0+)?", re.ASCII)


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
        rows, numbers, columns = rows_of(lines, path, warnings)
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
        mask = None if row.mask is None else _resolved(row.mask, path.parent)
        picture = Picture(_resolved(row.path, path.parent), place=row.place, row=row.there, mask=mask)
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
        else f"paths are relative to the list's folder; {MEND}",
    )


def _of_lines(lines: Sequence[str], path: Path) -> tuple[list[Row], bool | None]:
    """The rows, and whether the header says that classes are numbers; None: it does not say."""
    rows: list[Row] = []
    numbers: bool | None = None
    begun = False
    for number, line in enumerate(lines, 1):
        place = f"{path}, line {number}"
        whole = line.strip()
        if not whole or (whole.startswith("#") and not exists(_parted(whole, path.parent)[0], path.parent)):
            continue
        cells = re.split(r"[,;\t]", whole)
        if not begun and len(cells) < 3 and plain(cells[0]) in PATHS and not exists(whole, path.parent):
            numbers = says_numbers(cells[1]) if len(cells) == 2 else None
        elif (pair := _pair(whole, path.parent)) is not None:
            rows.append(Row(pair[0], None, place, mask=pair[1]))
        else:
            rows.append(Row(*_parted(whole, path.parent), place))
        begun = True
    return rows, numbers


def _pair(line: str, folder: Path) -> tuple[str, str] | None:
    """A photo and its mask, where a line names two images that are there; None: it does not."""
    if exists(line, folder):
        return None
    for found in re.finditer(r"(\.\w+)\s*[,;\t\s]\s*", line):
        head, tail = line[: found.end(1)], line[found.end() :]
        if suffixes.is_image(head) and suffixes.is_image(tail) and exists(tail, folder):
            return (head, tail) if exists(head, folder) else None
    return None


def _parted(line: str, folder: Path) -> tuple[str, str | None]:
    """The path and the class of a line."""
    if line.startswith('"') and (quoted := re.fullmatch(r'"((?:[^"]|"")*)"\s*(?:[,;\t]?\s*(\S.*))?', line)):
        return quoted[1].replace('""', '"'), _unquoted(quoted[2])
    # After the first suffix of an image, unless another comes after it: "a.png, copy.png" is one path.
    for found in re.finditer(r"(\.\w+)\s*([,;\t\s])\s*", line):
        head, tail = line[: found.end(1)], line[found.end() :]
        if suffixes.is_image(head) and tail and not suffixes.is_image(tail):
            return (line, None) if exists(line, folder) else (head, _unquoted(tail))
    if suffixes.is_image(line) or exists(line, folder):
        return line, None
    numbered = re.fullmatch(r"(\S.*?)(?:\s*[,;\t]\s*|\s+)([+-]?\d+)", line, re.ASCII)
    return (numbered[1], numbered[2]) if numbered else (line, None)


def _unquoted(label: str | None) -> str | None:
    if label is not None and len(label) > 1 and label[0] == label[-1] == '"':
        return label[1:-1].replace('""', '"').strip() or None
    return label.strip() or None if label is not None else None


def _number(label: str, place: str) -> int:
    found = _NUMBER.fullmatch(label)
    if found is None or int(found[1]) < UNLABELLED:
        raise LabelsError(
            f"{place}: {label!r:.80} is no class's number", mend="classes count from 0; −1 is an unknown one"
        )
    return int(found[1])


def _resolved(name: str, folder: Path) -> Path:
    """The path; backslashes part folders where no file has one in its name."""
    if "\\" in name and not exists(name, folder):
        return folder / name.replace("\\", "/")
    return folder / name


def _what(picture: Picture) -> str:
    return "class" if picture.mask is None else "mask"


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
        said = [(one.label, one.class_name, one.row, one.mask) for one in (earlier, picture)]
        if said[0] != said[1]:
            raise LabelsError(
                f"{picture.place}: {picture.path} has another {_what(earlier)} than in {earlier.place}",
                mend=f"list an image with one {_what(earlier)}",
            )
    if not again:
        return []
    return [
        f"{path}: {len(again)} of {len(pictures)} lines name an image that an earlier line names "
        f"({again[0].place.rpartition(', ')[2]}); it counts each time"
    ]

"""Tables with a column for each label: 1 where the image has it, 0 where it has not.

    path,cat,dog,bird
    a.jpg,1,0,1

An empty cell and −1 are labels of which nothing is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeeff.images.picture import UNLABELLED

#: What a cell may say.
_CELLS = {"": UNLABELLED, "-1": UNLABELLED, "0": 0, "1": 1, "0.0": 0, "1.0": 1, "-1.0": UNLABELLED} | {
    "false": 0,
    "true": 1,
}


@dataclass(frozen=True)
class LabelRow:
    """An image's line: its number, the path, and 1, 0 or −1 for each label."""

    line: int
    path: str
    there: tuple[int, ...]


@dataclass(frozen=True)
class LabelTable:
    """A table whose columns are labels."""

    columns: tuple[str, ...]
    rows: tuple[LabelRow, ...]


def read(
    header: Sequence[str], body: Sequence[tuple[int, list[str]]], where: int | None
) -> LabelTable | None:
    """The table, if it is one: two columns at least beside the paths, and nothing but such cells in them.

    Args:
        header: The first row.
        body: The others, each with the number of its line.
        where: The column of the paths; None: there is none, or another column tells the class.
    """
    columns = [i for i in range(len(header)) if i != where]
    names = tuple(header[i] for i in columns)
    if where is None or len(columns) < 2 or not all(names) or len({*names}) < len(names):
        return None
    rows = []
    for line, cells in body:
        padded = [*cells, *[""] * (len(header) - len(cells))]
        values = [_CELLS.get(padded[i].lower()) for i in columns]
        if len(cells) > len(header) or not padded[where] or None in values:
            return None
        rows.append(LabelRow(line, padded[where], tuple(value for value in values if value is not None)))
    return LabelTable(names, tuple(rows)) if rows else None

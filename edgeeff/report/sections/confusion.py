"""Which classes are taken for which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeeff.report import values
from edgeeff.report.material import Material, Report
from edgeeff.report.table import Cell, Column, Table

ORDER = 90
TITLE = "Confusions"

#: Classes of a matrix, rows of the list of confusions, and matrices.
_CLASSES, _LISTED, _MATRICES = 16, 20, 6


def content(material: Material) -> Mapping[str, Any] | None:
    """For each evaluation of classes a matrix of those that are confused most, and a list."""
    shown: list[dict[str, Any]] = []
    for report in (*material.of("accuracy"), *material.of("training")):
        cells = _cells(report)
        if cells and len(shown) < _MATRICES:
            called = values.text(report.data, "bundle") or values.text(report.data, "checkpoint")
            name = material.shown(report, called)
            labels = _labels(report)
            masks = any("pixels" in one for one in values.rows(report.data, "confusion"))
            unit = "pixels" if masks else "images"
            matrix, classes, all_of_them = _matrix(cells, labels)
            most = max((count for (a, b), count in cells.items() if a != b), default=0)
            tells = all_of_them or most > 1  # else one image here and there: the list says it better
            shown.append(
                {
                    "subject": material.subject(report, called),
                    "name": name,
                    "matrix": matrix if tells else [],
                    "classes": [labels.get(one, str(one)) for one in classes],
                    "all": all_of_them,
                    "list": _list(cells, labels, name, unit),
                    "wrong": sum(count for (a, b), count in cells.items() if a != b),
                    "images": sum(cells.values()),
                    "unit": unit,
                }
            )
    return {"reports": shown} if shown else None


def _cells(report: Report) -> dict[tuple[int, int], int]:
    """Images, or pixels of masks, by class and decision; a decision of −1 is none."""
    found: dict[tuple[int, int], int] = {}
    for one in values.rows(report.data, "confusion"):
        truth, decided = values.number(one, "truth"), values.number(one, "decided")
        count = values.whole(one, "pixels" if "pixels" in one else "images")
        if truth is not None and decided is not None and count:
            key = (int(truth), int(decided))
            found[key] = found.get(key, 0) + count
    return found


def _labels(report: Report) -> dict[int, str]:
    named = {
        number: values.text(one, "label")
        for one in values.rows(report.data, "per_class")
        if (number := values.whole(one, "number")) is not None
    }
    return {**named, -1: "nothing (NaN)"}


def _matrix(
    cells: Mapping[tuple[int, int], int], labels: Mapping[int, str]
) -> tuple[list[tuple[str, list[tuple[int, int, bool]]]], list[int], bool]:
    """Rows of classes, each with the count, its shade 0…9 and whether it is right; of all or the worst."""
    wrong: dict[int, int] = {}
    for (truth, decided), count in cells.items():
        for one in (truth, decided):
            wrong[one] = wrong.get(one, 0) + (count if truth != decided else 0)
    ranked = sorted(wrong, key=lambda one: (-wrong[one], one))
    chosen = sorted(ranked if len(ranked) <= _CLASSES else ranked[:_CLASSES])
    rows = []
    for truth in chosen:
        whole = sum(count for (a, _), count in cells.items() if a == truth) or 1
        row = []
        for decided in chosen:
            count = cells.get((truth, decided), 0)
            shade = 0 if not count else max(1, min(9, round(9 * count / whole)))
            row.append((count, shade, truth == decided))
        rows.append((labels.get(truth, str(truth)), row))
    return rows, chosen, len(chosen) == len(ranked)


def _list(cells: Mapping[tuple[int, int], int], labels: Mapping[int, str], name: str, unit: str) -> Table:
    wrong = sorted(
        ((count, truth, decided) for (truth, decided), count in cells.items() if truth != decided),
        key=lambda one: (-one[0], one[1:]),
    )
    rows = [
        (Cell(labels.get(t, str(t))), Cell(labels.get(d, str(d))), Cell(str(count), count))
        for count, t, d in wrong
    ]
    columns = (Column("class"), Column("taken for"), Column(unit, True))
    return Table.of(f"The most frequent confusions of {name}", columns, rows, _LISTED)

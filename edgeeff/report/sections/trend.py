"""How figures moved through the history, and where their level changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeeff.report import table
from edgeeff.report.drawing import axis
from edgeeff.report.drawing.axis import Axis
from edgeeff.report.drawing.trend import trend
from edgeeff.report.material import Material, Series

ORDER = 110
TITLE = "History"

#: Points of a figure, the latest.
_MOST = 400


def content(material: Material) -> Mapping[str, Any] | None:
    """A figure for each series, its changes in words below it."""
    if not material.series:
        return None
    return {"series": [_series(one) for one in material.series], "left_out": material.left_out}


def _series(one: Series) -> Mapping[str, Any]:
    cut = max(0, len(one.points) - _MOST)
    points = one.points[cut:]
    changes = [(change.place - cut, change.short) for change in one.changes if change.place > cut]
    seen = [value for p in points for value in (p.value, p.low, p.high) if value is not None]
    along = Axis.of(seen, least=0.02 * abs(points[-1].value))  # noise of a per cent does not fill the figure
    written = axis.plain(along.ticks)
    marks = [
        (p.value, p.low, p.high, f"{p.when}: {table.three(p.value)} {one.unit} {p.commit}".strip())
        for p in points
    ]
    last = f"{table.three(points[-1].value)} {one.unit}".strip()
    label = f"{one.name}, {one.metric}: {len(points)} runs, {len(changes)} changes, the last run {last}"
    ends = points[0].when[:10], points[-1].when[:10]
    return {
        "of": one,
        "figure": trend(marks, changes, along, written, ends, one.unit, label),
        "changes": [change.sentence for change in one.changes],
        "last": last,
        "left_out": cut,
    }

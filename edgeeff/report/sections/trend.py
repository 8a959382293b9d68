"""How figures moved through the history, and where their level changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeeff.report import table
from edgeeff.report.drawing import axis
from edgeeff.report.drawing.axis import Axis
from edgeeff.report.drawing.trend import trend
from edgeeff.report.material import Material, Series, Subject

ORDER = 110
TITLE = "History"

#: Points of a figure, the latest.
_MOST = 400


def content(material: Material) -> Mapping[str, Any] | None:
    """A figure for each series, its changes in words below it; what never moved has a line, no figure."""
    if not material.series:
        return None
    moved = [one for one in material.series if len({p.value for p in one.points}) > 1]
    still = [(material.named(one.name), one, _last(one)) for one in material.series if one not in moved]
    drawn = [_series(one, material.named(one.name)) for one in moved]
    return {"series": drawn, "still": still, "left_out": material.left_out}


def _last(one: Series) -> str:
    return f"{table.three(one.points[-1].value)} {one.unit}".strip()


def _series(one: Series, subject: Subject | None) -> Mapping[str, Any]:
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
    last = _last(one)
    label = f"{one.name}, {one.metric}: {len(points)} runs, {len(changes)} changes, the last run {last}"
    ends = points[0].when[:10], points[-1].when[:10]
    return {
        "of": one,
        "subject": subject,
        "figure": trend(
            marks, changes, along, written, ends, one.unit, label, f"c{subject.colour if subject else 0}"
        ),
        "changes": [change.sentence for change in one.changes],
        "last": last,
        "left_out": cut,
    }

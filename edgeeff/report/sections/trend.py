"""How figures moved through the history, and where their level changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeeff.report import table
from edgeeff.report.drawing import axis
from edgeeff.report.drawing.axis import Axis
from edgeeff.report.drawing.trend import trend
from edgeeff.report.material import Material

ORDER = 110
TITLE = "History"

#: Points of a figure, the latest.
_MOST = 400


def content(material: Material) -> Mapping[str, Any] | None:
    """A figure for each series, its changes in words beside it."""
    if not material.series:
        return None
    shown = []
    for one in material.series:
        cut = max(0, len(one.points) - _MOST)
        points = one.points[cut:]
        changes = [(place - cut, words) for place, words in one.changes if place >= cut]
        along = Axis.of([v for p in points for v in p[1:] if v is not None], least=1e-6)
        last = points[-1] if points else None
        label = f"{one.name}, {one.metric}: {len(points)} runs" + (
            f", the last {table.three(last[1])} {one.unit}" if last else ""
        )
        figure = trend(points, changes, along, axis.plain(along.ticks), one.unit, label)
        said = [(points[place][0] if place < len(points) else "", words) for place, words in changes]
        shown.append({"series": one, "figure": figure, "changes": said, "left_out": cut})
    return {"series": shown}

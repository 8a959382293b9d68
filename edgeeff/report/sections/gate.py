"""What a gate decided, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from edgeeff.report import table, values
from edgeeff.report.drawing import axis
from edgeeff.report.drawing.axis import Axis
from edgeeff.report.drawing.bars import Span, spans
from edgeeff.report.material import Material
from edgeeff.report.table import Cell, Column, Table

ORDER = 20
TITLE = "Gate"

#: A sign for each status, so that none is said by its colour alone; and the style.
_SIGNS = {
    "pass": ("✓ pass", "good"),
    "fail": ("✗ fail", "bad"),
    "inconclusive": ("? inconclusive", "doubt"),
    "error": ("! error", "bad"),
}
_COLOURS = {"pass": 2, "fail": 1, "inconclusive": 5, "error": 3}
#: Rows of a figure at most.
_DRAWN = 40
#: What crashed processes printed, of so many verdicts.
_PRINTED = 20
_COLUMNS = (
    *(
        Column("case"),
        Column("metric"),
        Column("verdict"),
        Column("worse by", True, "the change for the worse; below zero the new bundle is better"),
    ),
    *(Column("limit", True), Column("why"), Column("what would settle it")),
)


def content(material: Material) -> Mapping[str, Any] | None:
    """A table for each gate's report."""
    shown = []
    for report in material.of("gate"):
        rows = []
        for one in values.rows(report.data, "verdicts"):
            status = values.text(one, "status")
            sign, style = _SIGNS.get(status, (f"! {status or 'no status'}", "bad"))
            unit = values.text(one, "unit")
            ends = (values.number(one, "low"), values.number(one, "high"))
            under = f"{_short(ends[0])}…{_short(ends[1])}" if None not in ends else ""
            value, limit = values.level(one, "value"), values.level(one, "limit")
            rows.append(
                (
                    Cell(_place(one), subject=material.subject(report, values.text(one, "case"))),
                    Cell(values.text(one, "metric").replace("_", " ")),
                    Cell(sign, style=style),
                    Cell("" if value is None else f"{_short(value)} {unit}".strip(), value, under),
                    Cell("" if limit is None else f"{_short(limit)} {unit}".strip(), limit),
                    Cell(values.sentence(one, "why"), style="wide"),
                    Cell(_settle(values.at(one, "settle"))),
                )
            )
        status = values.text(report.data, "status")
        sign, style = _SIGNS.get(status, (f"! {status or 'no status'}", "bad"))
        made = Table.of(f"Verdicts of {report.source}", _COLUMNS, rows)
        printed = [
            (_place(one), values.text(one, "metric"), said)
            for one in values.rows(report.data, "verdicts")
            if (said := values.sentence(one, "measured", "printed"))
        ][:_PRINTED]
        bundles = [
            (material.subject(report, name), name, report.digest(name)[:8])
            for name, _ in values.items(report.data, "record", "bundles")
        ]
        head = {"status": sign, "style": style, "source": report.source, "bundles": bundles}
        figures = _figures(values.rows(report.data, "verdicts"))
        shown.append({**head, "table": made, "printed": printed, "figures": figures})
    return {"reports": shown} if shown else None


def _place(verdict: Any) -> str:
    """The case, and the board that it was measured on."""
    return " on ".join(filter(None, (values.text(verdict, "case"), values.text(verdict, "device"))))


def _figures(verdicts: list[Any]) -> list[tuple[str, Markup]]:
    """The intervals of verdicts beside their limit, a figure for each metric; of too many cases none."""
    groups: dict[tuple[str, str, float], list[Span]] = {}
    for one in verdicts:
        value, limit = values.number(one, "value"), values.number(one, "limit")
        low, high = values.number(one, "low"), values.number(one, "high")
        status = values.text(one, "status")
        if value is None or limit is None or low is None or high is None or status not in _SIGNS:
            continue
        metric, unit = values.text(one, "metric").replace("_", " "), values.text(one, "unit")
        sign, colour = _SIGNS[status][0], _COLOURS[status]
        words = f"{_short(value)} ({_short(low)}…{_short(high)}) {unit}".strip()
        name, box = _place(one), (min(low, value), max(high, value))
        span = Span(name, sign[0], colour, value, box, words=words, title=f"{name}: {sign}, {words}")
        groups.setdefault((metric, unit, limit), []).append(span)
    made = []
    for (metric, unit, limit), spans_of in groups.items():
        if len(spans_of) <= _DRAWN:
            along = Axis.of([limit, 0.0, *(end for one in spans_of for end in one.box)])
            label = f"{metric}, limit {_short(limit)} {unit}: " + "; ".join(one.title for one in spans_of)
            written = axis.plain(along.ticks)
            drawn = spans(spans_of, along, written, f"{metric}, {unit}", label, mark=limit)
            made.append((f"{metric}: intervals, and the limit of {_short(limit)} {unit}".strip(), drawn))
    return made


def _settle(found: Any) -> str:
    if isinstance(found, str):
        return values.text(found)
    said = []
    for name in ("launches", "images"):
        if (count := values.whole(found, name)) is not None:
            said.append(f"{count} {name}")
    if (seconds := values.number(found, "seconds")) is not None:
        said.append(f"{seconds:.0f} s")
    return ", ".join(said)


def _short(value: float | None) -> str:
    if value is None:
        return ""
    return (str(value) if abs(value) == float("inf") else table.three(value)).replace("-", "\N{MINUS SIGN}")

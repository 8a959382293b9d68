"""Where the time of an inference goes: kinds of layers, and the slowest layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeeff.report import table, values
from edgeeff.report.drawing import axis
from edgeeff.report.drawing.axis import Axis
from edgeeff.report.drawing.bars import Bar, Row, bars
from edgeeff.report.material import Material, Subject
from edgeeff.report.table import Cell, Column, Table

ORDER = 60
TITLE = "Where the time goes"

#: Layers that have bars, the slowest; rows of the tables of all, and of each of many bundles.
_SLOWEST, _MOST, _LEAST = 12, 480, 60

Entry = tuple[Subject, Any]


def content(material: Material) -> Mapping[str, Any] | None:
    """For each profile: bars of kinds and of the slowest layers, bundle beside bundle, and a table of all."""
    shown = []
    for report in material.of("profile"):
        entries = [
            (subject, entry)
            for entry in values.rows(report.data, "entries")
            if (subject := material.subject(report, values.text(entry, "name")))
        ]
        ran = [(s, e) for s, e in entries if values.rows(e, "layers")]
        absent = [(s, values.text(e, "reason")) for s, e in entries if not values.rows(e, "layers")]
        if entries:
            shown.append(
                {
                    "source": report.source,
                    "whole": _whole(ran),
                    "kinds": _kinds(ran) if ran else None,
                    "slowest": _slowest(ran) if ran else None,
                    "tables": [_table(s, e, max(_LEAST, _MOST // len(ran))) for s, e in ran],
                    "not_run": absent,
                }
            )
    return {"reports": shown} if shown else None


def _whole(ran: list[Entry]) -> Table:
    columns = (
        *(Column("bundle"), Column("layers", True), Column("inference", True), Column("multiply-adds", True)),
        Column("GMAC/s", True),
        Column("of INT8 peak", True, "what a large INT8 convolution reached in the same processes is 100 %"),
    )
    rows = []
    for subject, entry in ran:
        inference, macs = values.number(entry, "inference_us"), values.number(entry, "multiply_adds")
        rate, peak = values.number(entry, "gmacs_per_s"), values.number(entry, "int8_peak_fraction")
        layers = len(values.rows(entry, "layers"))
        rows.append(
            (
                Cell(subject.name, subject=subject),
                Cell(str(layers), layers),
                _us(inference),
                Cell() if macs is None else Cell(f"{macs / 1e6:.0f} M", macs),
                Cell() if rate is None else Cell(table.three(rate), rate),
                table.percent(peak),
            )
        )
    return Table.of("Whole profiles", columns, rows)


def _kinds(ran: list[Entry]) -> Any:
    found: dict[str, dict[str, float]] = {}
    for subject, entry in ran:
        for one in values.rows(entry, "kinds"):
            time, name = values.number(one, "microseconds"), values.text(one, "kind")
            if time is not None:
                kinds = found.setdefault(name, {})
                kinds[subject.letter] = kinds.get(subject.letter, 0.0) + time
    return _side_by_side(found, ran, "Time by kind of layer")


def _slowest(ran: list[Entry]) -> Any:
    found: dict[str, dict[str, float]] = {}
    for subject, entry in ran:
        for one in values.rows(entry, "layers"):
            time, name = values.number(one, "microseconds"), values.text(one, "name")
            if time is not None:
                layers = found.setdefault(name, {})
                layers[subject.letter] = layers.get(subject.letter, 0.0) + time
    worst = sorted(found, key=lambda name: -max(found[name].values()))[:_SLOWEST]
    return _side_by_side({name: found[name] for name in worst}, ran, "The slowest layers")


def _side_by_side(found: Mapping[str, Mapping[str, float]], ran: list[Entry], label: str) -> Any:
    rows = []
    for name in sorted(found, key=lambda name: -max(found[name].values())):
        of = []
        for subject, _ in ran:
            time = found[name].get(subject.letter)
            if time is not None:
                words = f"{table.three(time)} µs"
                title = f"{name}, {subject.name}: {words}"
                of.append(Bar(0.0, time, f"bar c{subject.colour}", words, title, subject.letter))
        rows.append(Row(name or "(no name)", tuple(of)))
    if not rows:
        return None
    along = Axis.of([bar.high for row in rows for bar in row.bars], zero=True, margin=0.03)
    first = ", ".join(row.name for row in rows[:3])
    return bars(
        rows, along, axis.plain(along.ticks), "µs of an inference", f"{label}, longest first: {first}"
    )


def _table(subject: Subject, entry: Any, most: int) -> tuple[Subject, Table]:
    columns = (
        *(Column("layer"), Column("kind"), Column("precision"), Column("kernel"), Column("time", True)),
        *(Column("share", True), Column("GMAC/s", True)),
    )
    layers = values.rows(entry, "layers")
    whole = sum(values.number(one, "microseconds") or 0.0 for one in layers) or 1.0
    rows = []
    for one in sorted(layers, key=lambda one: -(values.number(one, "microseconds") or 0.0)):
        time, macs = values.number(one, "microseconds"), values.number(one, "multiply_adds")
        rate = macs / time / 1e3 if macs and time else None
        rows.append(
            (
                *(Cell(values.text(one, key)) for key in ("name", "kind", "precision", "kernel")),
                _us(time),
                table.percent(None if time is None else time / whole),
                Cell() if rate is None else Cell(table.three(rate), rate),
            )
        )
    return subject, Table.of(f"All layers of {subject.name}", columns, rows, most)


def _us(value: float | None) -> Cell:
    return Cell() if value is None else Cell(f"{table.three(value)} µs", value)

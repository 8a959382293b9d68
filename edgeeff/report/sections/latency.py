"""How the times of inferences are distributed, and the ratios with their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from edgeeff.report import figures, table, values
from edgeeff.report.drawing import axis
from edgeeff.report.drawing.axis import Axis
from edgeeff.report.drawing.bars import Span, spans
from edgeeff.report.figures import Timed
from edgeeff.report.material import Material, Report, Subject
from edgeeff.report.table import Cell, Column, Table

ORDER = 50
TITLE = "Latency"


def content(material: Material) -> Mapping[str, Any] | None:
    """Two figures for each report: times, and ratios to the baseline."""
    shown = []
    for report in material.of("latency"):
        timed = [
            (subject, one)
            for subject in material.subjects
            for one in figures.times(material).get(subject.key, [])
            if one.report is report
        ]
        ran = [(subject, one) for subject, one in timed if one.p50 is not None]
        absent = [(subject, one.not_run) for subject, one in timed if one.p50 is None]
        if timed:
            shown.append(
                {
                    "head": conditions(report),
                    "times": _times(ran) if ran else None,
                    "ratios": _ratios(ran) if len(ran) > 1 else None,
                    "baseline": material.shown(report, values.text(report.data, "baseline")),
                    "clock": "CPU time" if not ran or ran[0][1].clock == "cpu" else "wall time",
                    "loading": _loading(ran),
                    "tools": _tools(material, report),
                    "not_run": absent,
                }
            )
    return {"reports": shown} if shown else None


def conditions(report: Report) -> str:
    """Where and how a report was measured, in a line."""
    data = report.data
    here = values.at(data, "machine") or values.at(data, "record", "environment")
    launches, seconds = values.whole(data, "launches"), values.number(data, "seconds")
    threads = values.whole(data, "threads")
    said = [
        values.text(data, "record", "device"),
        values.text(here, "board") or values.text(here, "cpu"),
        f"{threads} thread{'s' if threads != 1 else ''}" if threads else "",
        f"governor {values.text(here, 'governor') or 'unknown'}",
        f"{launches} launches of {seconds:g} s a bundle" if launches and seconds else "",
        report.utc,
        report.source,
    ]
    return ", ".join(part for part in said if part)


def _loading(ran: list[tuple[Subject, Timed]]) -> Table:
    """What is measured beside the times of inferences."""
    columns = (
        *(Column("bundle"), Column("inferences", True), Column("images in a run", True)),
        Column("p99.9", True, "of an image, where enough inferences were timed to say it"),
        Column("load", True, "to read the artifact and make it ready"),
        *(
            Column("first inference", True),
            Column("peak memory", True, "by which the process grew meanwhile"),
        ),
        Column("energy", True, "of an inference, what is drawn when idle included"),
    )
    rows = []
    for subject, one in ran:
        timing = values.at(one.data, "timing")
        count, memory = values.whole(timing, "inferences"), values.number(timing, "loading", "peak_memory_mb")
        energy, meter = values.number(timing, "energy_mj", "value"), values.text(timing, "energy_meter")
        rows.append(
            (
                Cell(subject.name, subject=subject),
                Cell() if count is None else Cell(str(count), count),
                Cell(str(one.images), one.images) if one.images > 1 else Cell(),
                table.milliseconds(one.p99_9),
                table.milliseconds(values.number(timing, "loading", "load_ms")),
                table.milliseconds(values.number(timing, "loading", "first_ms")),
                Cell() if memory is None else table.megabytes(1e6 * memory),
                Cell() if energy is None else Cell(f"{table.three(energy)} mJ", energy, meter),
            )
        )
    return Table.of("Loading, memory and energy", columns, rows)


def _tools(material: Material, report: Report) -> Table:
    """What the runtimes' own benchmarks say of the same artifacts."""
    columns = (
        *(Column("bundle"), Column("tool"), Column("edgeeff", True), Column("the tool", True)),
        Column("ratio", True, "of the tool's time to ours"),
        Column(""),
    )
    rows = []
    for one in values.rows(report.data, "tools"):
        name, ratio = values.text(one, "bundle"), values.number(one, "ratio", "value")
        ends = values.interval(one, "ratio", "interval")
        under = f"{ends[0]:.3f}…{ends[1]:.3f}" if ends else ""
        rows.append(
            (
                Cell(material.shown(report, name), subject=material.subject(report, name)),
                Cell(values.text(one, "tool")),
                *(table.milliseconds(values.number(one, key, "value")) for key in ("ours_ms", "theirs_ms")),
                Cell() if ratio is None else Cell(f"{ratio:.3f}", ratio, under),
                Cell(values.sentence(one, "reason")),
            )
        )
    return Table.of("Beside the runtimes' own benchmarks", columns, rows)


def _times(ran: list[tuple[Subject, Timed]]) -> Markup:
    rows = []
    for subject, one in ran:
        assert one.p50 is not None
        p90 = one.p90 if one.p90 is not None and one.p90 >= one.p50 else one.p50
        far = one.p99 if one.p99 is not None and one.p99 >= p90 else None
        said = [f"p50 {table.three(one.p50)}", f"p90 {table.three(p90)}"]
        if far is not None:
            said.append(f"p99 {table.three(far)}")
        words = f"{table.three(one.p50)} ms" + (f" · p99 {table.three(far)}" if far is not None else "")
        title = f"{subject.name}: {', '.join(said)} ms"
        launches = one.launches if len(one.launches) <= 64 else ()
        box = (one.p50, p90)
        rows.append(
            Span(subject.name, subject.letter, subject.colour, one.p50, box, far, launches, words, title)
        )
    reach = [v for row in rows for v in (row.middle, row.box[1], *row.dots, *([row.far] if row.far else []))]
    along = Axis.of(reach, zero=True, margin=0.03)
    named = "; ".join(row.title for row in rows)
    return spans(rows, along, axis.plain(along.ticks), "time of an image, ms", f"Times: {named}")


def _ratios(ran: list[tuple[Subject, Timed]]) -> Markup | None:
    rows = []
    for subject, one in ran:
        if one.ratio is None or subject.name == one.baseline:
            continue
        ends = one.ratio_interval or (one.ratio, one.ratio)
        words = f"{one.ratio:.3f} ({ends[0]:.3f}…{ends[1]:.3f})" if one.ratio_interval else f"{one.ratio:.3f}"
        title = f"{subject.name}: {words} of {one.baseline}"
        rows.append(
            Span(subject.name, subject.letter, subject.colour, one.ratio, ends, words=words, title=title)
        )
    if not rows:
        return None
    along = Axis.of([1.0, *(v for row in rows for v in row.box)], zero=True, margin=0.04)
    named = "; ".join(row.title for row in rows)
    unit = "time of an image against the baseline's; under 1 is faster"
    return spans(rows, along, axis.plain(along.ticks), unit, f"Ratios: {named}", mark=1.0)

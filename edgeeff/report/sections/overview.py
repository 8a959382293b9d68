"""One table of accuracy and latency for all bundles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from edgeeff.report import figures, table
from edgeeff.report.figures import Scored, Timed
from edgeeff.report.material import Material, Subject
from edgeeff.report.sections.accuracy import spoken
from edgeeff.report.table import Cell, Column, Table

ORDER = 30
TITLE = "Accuracy and latency"

_COLUMNS = (
    Column("bundle"),
    Column("runtime"),
    Column("size", True, "of the files that hold the network"),
    Column("accuracy", True, "the task's own metric against labels, with its 95 % interval"),
    Column("points lost", True, "accuracy of the float control less this one's, percentage points"),
    Column("agreement", True, "decisions that are the float network's, with the 95 % interval"),
    Column("SQNR", True, "signal to quantisation noise of the outputs against the float network's"),
    Column("latency", True, "median time of an image, and its 99th percentile"),
    Column("CPU", True, "CPU time of an image, all threads together"),
    Column("ratio", True, "time against the baseline's, with its 95 % interval; under 1 is faster"),
)


def content(material: Material) -> Mapping[str, Any] | None:
    """A row for each bundle, and notes on what cannot be compared."""
    if not material.subjects:
        return None
    main, basis = figures.main_conditions(material), figures.main_basis(material)
    rows, notes = [], dict[str, None]()
    for subject in material.subjects:
        scored, timed = figures.accuracy(material, subject), figures.latency(material, subject)
        elsewhere = timed is not None and timed.p50 is not None and figures.conditions(timed) != main
        alone = scored.agreement is None and scored.sqnr is None and not subject.floating
        close = figures.built(subject) if alone else scored
        rows.append([*_facts(subject), *_accuracy(scored, close, basis), *_latency(timed, elsewhere)])
        if elsewhere and timed is not None:
            notes[f"† not comparable: timed with {_differs(timed, main)} ({timed.report.source})."] = None
        for one in (scored, close):
            if one.via:
                notes[f"‡ Accuracy is that of {one.via}, not of the bundle's own runtime."] = None
            if one.known and one.basis != basis:
                notes[f"§ Not comparable: found by {_judge(one.basis)}."] = None
    said = [] if basis is None else [f"Accuracy was found by {_judge(basis)}."]
    for subject in material.subjects:
        if (timed := figures.latency(material, subject)) and timed.ratio is not None:
            clock = "CPU time" if timed.clock == "cpu" else "wall time"
            said.append(f"Ratios are against {timed.baseline}, by {clock}.")
        if (scored := figures.accuracy(material, subject)).metric:
            said.append(f"The metric is {spoken(scored.metric)}.")
    made = Table.of("Every bundle with its accuracy and its latency", _COLUMNS, rows)
    return {"table": made, "notes": list(dict.fromkeys([*said, *notes]))}


def _judge(basis: figures.Basis) -> str:
    """Who judged, and by how many images."""
    who = "the build" if basis[0] == figures.BUILD else "an evaluation"
    return who if basis[1] is None else f"{who} on {basis[1]} images"


def _facts(subject: Subject) -> list[Cell]:
    floating = "float control" if subject.floating else ""
    return [
        Cell(subject.name, subject=subject, under=floating),
        Cell(subject.facts.get("runtime", ""), under=subject.facts.get("precision", "")),
        table.megabytes(subject.size),
    ]


def _accuracy(scored: Scored, close: Scored, basis: figures.Basis | None) -> list[Cell]:
    """Of an evaluation that had no reference the build says how close the float network is (``close``)."""
    if scored.not_run and not scored.known:
        return [table.not_run(scored.not_run), Cell(), table.not_run(scored.not_run), Cell()]
    lost = Cell() if scored.lost is None else Cell(table.signed(scored.lost), scored.lost)
    shown = [
        (scored, table.percent(scored.score, scored.interval)),
        (scored, lost),
        (close, table.percent(close.agreement, close.agreed)),
        (close, table.decibels(close.sqnr)),
    ]
    return [
        _marked(cell, (" ‡" if one.via else "") + (" §" if one.basis != basis else "")) for one, cell in shown
    ]


def _latency(timed: Timed | None, elsewhere: bool) -> list[Cell]:
    if timed is None:
        return [Cell()] * 3
    if timed.p50 is None:
        return [table.not_run(timed.not_run), Cell(), Cell()]
    mark = " †" if elsewhere else ""
    ratio = Cell()
    if timed.ratio is not None and not elsewhere:
        ends = timed.ratio_interval
        under = f"{ends[0]:.3f}…{ends[1]:.3f}" if ends and ends[0] != ends[1] else ""
        ratio = Cell(f"{timed.ratio:.3f}", timed.ratio, under)
    far = "" if timed.p99 is None else f"p99 {table.three(timed.p99)}"
    median, cpu = table.milliseconds(timed.p50), table.milliseconds(timed.cpu)
    return [_marked(replace(median, under=far), mark), _marked(cpu, mark), ratio]


def _differs(timed: Timed, main: figures.Conditions | None) -> str:
    """What is otherwise about these times."""
    own = figures.conditions(timed)
    if main is None or own[0] != main[0]:
        return "another machine or other versions"
    return f"{own[1]} threads" if own[1] != main[1] else f"{own[2]} images in a run"


def _marked(cell: Cell, mark: str) -> Cell:
    return replace(cell, shown=cell.shown + mark) if cell.shown and mark else cell

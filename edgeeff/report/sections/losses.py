"""What each tensor and layer loses: the pages of diagnoses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from edgeeff.report import values
from edgeeff.report.drawing.network import Part, Values, along, histogram, scale
from edgeeff.report.material import Material, Report
from edgeeff.report.table import Cell, Column, Table

ORDER = 70
TITLE = "What each layer loses"

#: Histograms that are shown, the worst tensors'; of several diagnoses fewer each.
_HISTOGRAMS = 24
#: Rows of the table of all tensors and layers, and bars of a figure; of several diagnoses fewer rows each.
_MOST = 1500


def content(material: Material) -> Mapping[str, Any] | None:
    """Figures, advice and tables of each diagnosis."""
    reports = list(material.of("diagnosis"))
    if not reports:
        return None
    return {"diagnoses": [_diagnosis(one, len(reports)) for one in reports]}


def _diagnosis(report: Report, count: int) -> Mapping[str, Any]:
    data = report.data
    findings = [one for one in values.rows(data, "findings") if values.number(one, "share") is not None]
    tensors = [_part(one) for one in findings if values.text(one, "kind") == "tensor"][:_MOST]
    weights = [_part(one) for one in findings if values.text(one, "kind") == "weights"][:_MOST]
    pixels = scale(tensors, weights)
    worst = sorted(findings, key=lambda one: -_share(one))
    held = [(one, found) for one in worst if (found := _values(one))][: _HISTOGRAMS // count]
    model, target = values.text(data, "model"), values.text(data, "target")
    return {
        "title": f"{model} for {target}",
        "notes": f"--effort {values.text(data, 'effort')}: {'; '.join(values.texts(data, 'notes'))}",
        "sqnr": values.level(data, "sqnr_db"),
        "judged": _judged(data),
        "board": _board(values.at(data, "board")),
        "advice": values.sentences(data, "advice"),
        "tensors": along(tensors, "share", "alone", pixels, _label("tensor", tensors)),
        "weights": along(weights, "weights", "weights-alone", pixels, _label("layer", weights)),
        "groups": _groups(data),
        "histograms": [_histogram(one, found) for one, found in held],
        "findings": _findings(worst, _MOST // count**2),
        "kernels": values.text(data, "kernels"),
        "definitions": [(name, values.text(said)) for name, said in values.items(data, "definitions")],
    }


def _share(one: Any) -> float:
    return values.number(one, "share") or 0.0


def _part(one: Any) -> Part:
    alone = values.number(one, "alone") or 0.0
    return Part(values.text(one, "name"), values.text(one, "what"), _share(one), alone)


def _judged(data: Mapping[str, Any]) -> str:
    images, agreeing = values.whole(data, "images"), values.whole(data, "agreeing")
    if data.get("boxes") is True:
        return f"on {images} held-out images, by what can become boxes"
    if agreeing is None:
        return f"on {images} held-out images, each output by its power"
    return f"without the mean, {agreeing} of {images} held-out images classified as in float"


def _board(found: Any) -> str:
    """What a board made of the artifact, where one was named."""
    device, level = values.text(found, "device"), values.level(found, "golden", "float_sqnr_db")
    if not device:
        return ""
    said = "" if level is None else f"{level:.1f} dB to the float network, the mean included; "
    return f"On {device}: {said}{values.sentence(found, 'golden', 'summary')}"


def _label(what: str, parts: list[Part]) -> str:
    worst = sorted(parts, key=lambda one: -one.share)[:3]
    named = ", ".join(f"{one.name} {one.share:.1%}" for one in worst)
    return f"Share of the error of each {what}, in the order of the graph; the largest: {named}"


def _values(one: Any) -> Values | None:
    """What can be drawn of a tensor's values."""
    low, high = values.number(one, "histogram", "low"), values.number(one, "histogram", "high")
    counts = [values.number(count) for count in values.rows(one, "histogram", "counts")]
    codes = values.interval(one, "codes")
    if low is None or high is None or codes is None or not 0 < len(counts) <= 1024 or high <= low:
        return None
    held = tuple(max(0.0, count or 0.0) for count in counts)
    return Values(low, high, held, codes)


def _histogram(one: Any, found: Values) -> tuple[Markup, str, str]:
    outside, name = values.number(one, "outside"), values.text(one, "name")
    beyond = "" if outside is None else f", {outside:.2%} of unseen values outside"
    said = f"{values.text(one, 'what')}; {_share(one):.1%} of the error{beyond}"
    return histogram(found, f"Values of {name}: {said}"), name, said


def _groups(data: Mapping[str, Any]) -> Table:
    columns = (Column("part"), Column("members", True), Column("share", True), Column("alone", True))
    rows = []
    for one in values.rows(data, "groups"):
        members = values.whole(one, "members")
        rows.append((Cell(values.text(one, "name")), Cell(str(members), members), *_shares(one)))
    return Table.of("By part of the network", columns, rows)


def _findings(worst: list[Any], most: int) -> Table:
    columns = (
        *(Column("tensor or layer"), Column("what"), Column("codes hold", True), Column("seen", True)),
        *(Column("outside", True), Column("share", True), Column("alone", True), Column("kernel")),
        Column("what to do"),
    )
    rows = []
    for one in worst:
        what = values.text(one, "what")
        outside = values.number(one, "outside")
        rows.append(
            (
                Cell(values.text(one, "name")),
                Cell(f"weights: {what}" if values.text(one, "kind") == "weights" else what),
                _range(values.interval(one, "codes")),
                _range(values.interval(one, "seen")),
                Cell() if outside is None else Cell(f"{outside:.2%}", outside),
                *_shares(one),
                Cell(values.text(one, "kernel")),
                Cell(values.sentence(one, "advice")),
            )
        )
    return Table.of("All tensors and layers", columns, rows, most)


def _shares(one: Any) -> tuple[Cell, Cell]:
    share, doubt, alone = _share(one), values.number(one, "doubt"), values.number(one, "alone")
    said = f"{share:.1%}" if doubt is None else f"{share:.1%} ± {100 * doubt:.1f}"
    return Cell(said, share), Cell() if alone is None else Cell(f"{alone:.1%}", alone)


def _range(ends: tuple[float, float] | None) -> Cell:
    return Cell() if ends is None else Cell(f"{ends[0]:.3g}…{ends[1]:.3g}", ends[1] - ends[0])

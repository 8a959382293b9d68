"""What evaluations found: scores, comparisons with another bundle, classes, and how sure is how right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from edgeeff.report import table, values
from edgeeff.report.drawing import axis, reliability
from edgeeff.report.drawing.reliability import Bin
from edgeeff.report.material import Material, Report, Subject
from edgeeff.report.table import Cell, Column, Table

ORDER = 45
TITLE = "Accuracy"

#: What stands in a report's scores beside the metrics.
_NO_METRICS = ("images", "classes", "labels", "output", "calibration", "boxes", "threshold")
#: How a metric is written where its name is not simply its words.
_SPOKEN = {"top_1": "top-1", "top_5": "top-5", "f1": "F1", "mean_average_precision": "mAP", "map": "mAP"} | {
    **{"map_50": "AP50", "map_75": "AP75", "ar_1": "AR1", "ar_10": "AR10", "ar_100": "AR100"},
    **{f"map_{size}": f"AP {size}" for size in ("small", "medium", "large")},
    **{f"ar_{size}": f"AR {size}" for size in ("small", "medium", "large")},
}
#: Classes of a table, and reliability diagrams.
_MOST, _DIAGRAMS = 100, 4


def content(material: Material) -> Mapping[str, Any] | None:
    """A table of all evaluations; for each what it was compared with, its classes and its calibration."""
    reports = list(material.of("accuracy"))
    if not reports:
        return None
    details: list[dict[str, Any]] = []
    for report in reports:
        subject = material.subject(report, values.text(report.data, "bundle"))
        name = material.shown(report, values.text(report.data, "bundle"))
        details.append(
            {
                "subject": subject,
                "name": name,
                "different": _different(material, report, name),
                "classes": _classes(report, name),
                "reliability": _reliability(report, name, subject) if len(details) < _DIAGRAMS else None,
            }
        )
    skipped = [
        (one.source, len(found)) for one in reports if (found := dict(values.items(one.data, "skipped")))
    ]
    shown = [one for one in details if one["different"] or one["classes"] or one["reliability"]]
    compared = _comparisons(material, reports)
    return {"table": _table(material, reports), "compared": compared, "details": shown, "skipped": skipped}


def spoken(metric: str) -> str:
    """A metric's name, for a person."""
    return _SPOKEN.get(metric, metric.replace("_", " "))


def _table(material: Material, reports: list[Report]) -> Table:
    scored = [values.at(one.data, "scores") for one in reports]
    metrics = dict.fromkeys(
        name
        for scores in scored
        for name, one in values.items(scores)
        if name not in _NO_METRICS and _is(one)
    )
    columns = [
        *(Column("bundle"), Column("images", True)),
        *(Column(spoken(name), True) for name in metrics),
        Column("ECE", True, "expected calibration error: how far the probabilities are from being right"),
        *(Column("points lost", True), Column("agreement", True)),
        Column("SQNR", True, "against the float network; centred: without each image's mean logit"),
        Column("report"),
    ]
    rows, sources = [], {one.source for one in reports}
    for report, scores in zip(reports, scored, strict=True):
        data, against = report.data, values.at(report.data, "reference")
        name, via = values.text(data, "bundle"), values.text(data, "via")
        images, labelled = values.whole(data, "images"), values.whole(data, "labelled")
        ran = values.text(data, "status") != "NOT RUN"
        drop, error = values.number(data, "drop_points"), values.number(scores, "calibration", "error")
        agreed = values.interval(against, "agreement", "interval")
        rows.append(
            [
                Cell(material.shown(report, name), subject=material.subject(report, name), under=via),
                Cell(str(images), images, "" if labelled == images else f"{labelled} labelled")
                if ran
                else table.not_run(values.text(data, "reason")),
                *(_metric(values.at(scores, metric)) for metric in metrics),
                Cell() if error is None else Cell(f"{error:.3f}", error),
                Cell() if drop is None else Cell(table.signed(drop), drop),
                table.percent(values.number(against, "agreement", "value"), agreed),
                replace(table.decibels(values.level(against, "sqnr_db")), under=_centred(against)),
                Cell(report.source if len(sources) > 1 else ""),
            ]
        )
    return Table.of("Evaluations", columns, rows)


def _centred(against: Any) -> str:
    level = values.number(against, "sqnr_centred_db")
    return "" if level is None else f"centred {level:.1f}"


def _is(found: Any) -> bool:
    """Whether it is a metric: a proportion, or a number of 0…1."""
    value = values.number(found, "value") if isinstance(found, Mapping) else values.number(found)
    return value is not None and 0 <= value <= 1


def _metric(found: Any) -> Cell:
    if not _is(found):
        return Cell()
    if isinstance(found, Mapping):
        return table.percent(values.number(found, "value"), values.interval(found, "interval"))
    value = values.number(found)
    return Cell() if value is None else Cell(f"{value:.3f}", value)


_COMPARED = (
    *(
        Column("bundle"),
        Column("against"),
        Column("conclusion"),
        Column("lost", True, "images: right only there"),
    ),
    *(Column("won", True, "images: right only here"), Column("points lost", True)),
    Column("at most", True, "upper 95 % bound of the points lost"),
    Column("p worse", True, "exact one-sided McNemar test"),
    Column("images needed", True, "labelled, so that a loss of the margin is excluded"),
)


def _comparisons(material: Material, reports: list[Report]) -> Table:
    rows = []
    for report in reports:
        found = values.at(report.data, "comparison")
        if isinstance(found, Mapping):
            name, margin = values.text(report.data, "bundle"), values.number(found, "margin_points")
            against = material.shown(report, values.text(found, "against"))
            numbers = [
                Cell() if value is None else Cell(table.signed(value, digits), value)
                for key, digits in (
                    *(("lost", 0), ("won", 0), ("loss_points", 2), ("loss_bound_points", 2), ("p_worse", 3)),
                    ("images_needed", 0),
                )
                for value in [values.number(found, key)]
            ]
            rows.append(
                [
                    Cell(material.shown(report, name), subject=material.subject(report, name)),
                    Cell(against, under="" if margin is None else f"margin {margin:g} points"),
                    Cell(values.sentence(found, "conclusion"), style="wide"),
                    *numbers,
                ]
            )
    return Table.of("Bundles compared image by image", _COMPARED, rows)


def _different(material: Material, report: Report, name: str) -> Table | None:
    listed = [
        [Cell(values.text(one, key)) for key in ("image", "truth", "old", "new")]
        for one in values.rows(report.data, "comparison", "disagreements")
    ]
    against = material.shown(report, values.text(report.data, "comparison", "against"))
    columns = (Column("image"), Column("label"), Column(against), Column(name))
    left_out = values.whole(report.data, "comparison", "disagreements_left_out") or 0
    part = f", {len(listed)} of {len(listed) + left_out}" if left_out else ""
    caption = f"Images that {name} decides otherwise{part}"
    return Table.of(caption, columns, listed, _MOST) if listed else None


def _classes(report: Report, name: str) -> Table | None:
    pixels = any("pixels" in one for one in values.rows(report.data, "per_class"))  # of masks
    keys = ["images", "pixels", "decided", "right"] if pixels else ["images", "decided", "right"]
    names = ["images", "pixels", "pixels decided", "pixels right"] if pixels else keys
    columns = (
        Column("class"),
        *(Column(name, True) for name in names),
        *(Column("precision", True), Column("recall", True), Column("F1", True)),
    )
    rows = []
    for one in values.rows(report.data, "per_class"):
        counts = [values.whole(one, key) for key in keys]
        shares = [values.number(one, key) for key in ("precision", "recall", "f1")]
        rows.append(
            (
                Cell(values.text(one, "label")),
                *(Cell() if count is None else Cell(str(count), count) for count in counts),
                *(Cell() if share is None else Cell(f"{share:.3f}", share) for share in shares),
            )
        )
    # The worst first: whoever opens the table looks for these.
    rows.sort(key=lambda row: (float(row[-1].value) if row[-1].value is not None else 2.0, row[0].shown))
    return Table.of(f"Classes of {name}, the worst first", columns, rows, _MOST) if rows else None


def _reliability(report: Report, name: str, subject: Subject | None) -> Any:
    bins = []
    for one in values.rows(report.data, "scores", "calibration", "bins")[:64]:
        images = values.whole(one, "images")
        right, sure = values.number(one, "accuracy"), values.number(one, "probability")
        if images and right is not None and sure is not None and 0 <= right <= 1 and 0 <= sure <= 1:
            bins.append(Bin(sure, right, images))
    if len(bins) < 2:
        return None
    written = axis.plain((0.0, 0.2))
    label = f"How sure and how right {name} is, in {len(bins)} bins"
    return reliability.reliability(bins, written, label, f"c{subject.colour if subject else 0}")

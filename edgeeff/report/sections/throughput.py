"""Images a second with several runs in flight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeeff.report import table, values
from edgeeff.report.material import Material
from edgeeff.report.sections.latency import conditions
from edgeeff.report.table import Cell, Column, Table

ORDER = 55
TITLE = "Throughput"

_COLUMNS = (
    *(Column("bundle"), Column("images/s", True), Column("ratio", True, "to the baseline; over 1 is faster")),
    *(Column("CPU of an image", True), Column("images in a run", True)),
)


def content(material: Material) -> Mapping[str, Any] | None:
    """A table for each report: with how many threads and runs in flight, how many images a second."""
    shown = []
    for report in material.of("throughput"):
        rows = []
        for one in values.rows(report.data, "entries"):
            rate, ratio = (
                values.number(one, "images_per_second", "value"),
                values.number(one, "ratio", "value"),
            )
            name, images = values.text(one, "name"), values.whole(one, "images")
            ends = [values.interval(one, key, "interval") for key in ("images_per_second", "ratio")]
            under = [f"{table.three(end[0])}…{table.three(end[1])}" if end else "" for end in ends]
            rows.append(
                (
                    Cell(material.shown(report, name), subject=material.subject(report, name)),
                    table.not_run(values.text(one, "reason"))
                    if rate is None
                    else Cell(table.three(rate), rate, under[0]),
                    Cell() if ratio is None else Cell(f"{ratio:.3f}", ratio, under[1]),
                    table.milliseconds(values.number(one, "cpu_ms_per_image")),
                    Cell() if images is None else Cell(str(images), images),
                )
            )
        requests = values.whole(report.data, "requests")
        flight = f"{requests} run{'s' if requests != 1 else ''} in flight, " if requests else ""
        baseline = material.shown(report, values.text(report.data, "baseline"))
        compared = baseline and any(row[2].shown for row in rows)  # a lone bundle has no ratio
        head = f"{flight}{conditions(report)}" + (f"; ratios are against {baseline}" if compared else "")
        shown.append({"head": head, "table": Table.of("Images a second", _COLUMNS, rows)})
    return {"reports": shown} if shown else None

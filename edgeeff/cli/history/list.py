"""edgeeff history list: runs, the newest first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from edgeeff.cli import console, tables
from edgeeff.cli.history import _asked as asked

if TYPE_CHECKING:
    from edgeeff.history.finding import FoundResult, FoundRun

#: What is shown of a bundle unless a metric is asked for: these of it that the run has.
_TELLING = (
    *("cpu_ms", "wall_p50_ms", "top_1", "map", "mean_average_precision", "f1_micro", "recall_1"),
    *("sqnr_centred_db", "agreement", "inference_us", "images_per_second"),
)


def command(
    model: asked.Model = None,
    target: asked.Target = None,
    metric: asked.Metric = None,
    device: asked.Device = None,
    series: asked.Series = None,
    since: asked.Since = None,
    kind: Annotated[
        str | None,
        typer.Option(
            help="Of this kind: latency, throughput, profile, accuracy, verification, gate, device."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="So many runs at most.")] = 20,
    database: asked.Database = None,
    json: asked.Json = False,
) -> None:
    """List runs, the newest first, with what each bundle was measured to be."""
    from edgeeff.errors import OptionError
    from edgeeff.history import finding, place, reports
    from edgeeff.history.database import reading

    if kind is not None and kind not in reports.kinds():
        raise OptionError(
            f"--kind {kind[:40]!r}: no report is of this kind", mend=f"give {', '.join(reports.kinds())}"
        )
    where = place.to_read(database)
    wanted = replace(asked.wanted(None, model, target, metric, device, series, since), kind=kind)
    with reading(where) as connection:
        found = [] if connection is None else finding.runs(connection, wanted, limit=limit)
    if json:
        console.as_json({"database": str(where), "runs": [run.to_json() for run in found]})
        return
    if not found:
        console.plain(f"no run in {where}" if connection is None else f"no such run in {where}")
        return
    made = tables.new("run", "UTC", "kind", "bundle", "result")
    for run in found:
        for i, (bundle, text) in enumerate(_lines(run, metric)):
            first = (run.uid[:8], run.placed[:16].replace("T", " "), run.kind) if i == 0 else ("", "", "")
            made.add_row(*first, bundle, text)
    console.table(made)


def _lines(run: FoundRun, metric: str | None) -> list[tuple[str, str]]:
    """Bundle and figures, a row for each; of a gate its verdicts."""
    found = [(str(verdict["name"]), f"{verdict['metric']}: {verdict['status']}") for verdict in run.verdicts]
    of_bundles: dict[str, list[FoundResult]] = {}
    for result in run.results:
        of_bundles.setdefault(result.bundle, []).append(result)
    if not found:
        found = [(name, _figures(results, metric)) for name, results in of_bundles.items()]
        found = [one for one in found if one[1]] or found  # of a reference nothing but its size may be there
        if metric is None:
            found = [one for one in found if one[0] not in run.not_run]
            found += [(name, "NOT RUN") for name in run.not_run]
    return [(name, text or run.status) for name, text in found] or [("", run.status)]


def _figures(results: Iterable[FoundResult], metric: str | None) -> str:
    if metric is not None:
        return ", ".join(
            tables.history_figure(result) for result in results
        )  # the filter let no other through
    by_metric = {result.metric: result for result in results}
    shown = [name for name in _TELLING if name in by_metric][:3]
    return ", ".join(tables.history_figure(by_metric[name]) for name in shown)

"""Options that the verbs of the history share, and the database that they name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edgeeff.history.finding import Filter

Bundle = Annotated[str | None, typer.Option(help="Results of bundles of this name.")]
Model = Annotated[str | None, typer.Option(help="Of this network, such as b0.")]
Target = Annotated[str | None, typer.Option(help="Of this target.")]
Metric = Annotated[str | None, typer.Option(help="This figure, such as cpu_ms, wall_p50_ms, top_1.")]
Device = Annotated[str | None, typer.Option(help="On this board or processor: part of its name.")]
Series = Annotated[
    str | None, typer.Option(help="Of this series (board, CPU, runtime versions): its first digits.")
]
Since = Annotated[str | None, typer.Option(help="Not older: 12h, 90d, 4w, or a date in UTC.")]
Database = Annotated[
    str | None,
    typer.Option(help="A file, or postgresql://user@host/database. Default: what EDGEEFF_HISTORY says."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def wanted(
    bundle: str | None = None,
    model: str | None = None,
    target: str | None = None,
    metric: str | None = None,
    device: str | None = None,
    series: str | None = None,
    since: str | None = None,
) -> Filter:
    """What was asked for."""
    from edgeeff.history.finding import Filter, earliest

    return Filter(bundle, model, target, metric, device, series, None, earliest(since))

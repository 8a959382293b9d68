"""edgeeff history show: all that is stored of one run."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeeff.cli import console, tables
from edgeeff.cli.history import _asked as asked


def command(
    run: Annotated[str, typer.Argument(help="The run's number, or its first digits.")],
    database: asked.Database = None,
    json: asked.Json = False,
) -> None:
    """Show one run: its figures with their intervals, its verdicts, and what it was measured on."""
    from edgeeff.history import finding, place
    from edgeeff.history.database import reading

    where = place.to_read(database)
    with reading(where) as connection:
        found = finding.one_run(connection, run)
    if json:
        console.as_json(found.to_json())
        return
    console.plain(f"run {found.uid}: {found.kind}, {found.status}, begun {found.utc}, stored {found.arrived}")
    if found.placed != found.utc:
        console.plain(f"put at {found.placed}: the machine's clock had gone backwards")
    console.plain(f"commit {found.commit or 'not known'}; on {found.device}, series {found.series[:12]}")
    facts = ", ".join(
        f"{name} {value}"
        for name, value in found.facts.items()
        if value not in (None, "") and not isinstance(value, list)
    )
    if facts:
        console.plain(facts)
    if found.not_run:
        console.plain(f"NOT RUN: {', '.join(found.not_run)}")
    if found.warnings:
        console.plain(f"it had {found.warnings} warning{'s' * (found.warnings > 1)}")
    if found.results:
        made = tables.new("bundle", "figure", ">value", ">95 % interval", ">of", "conditions")
        for result in found.results:
            made.add_row(
                result.bundle,
                result.metric,
                tables.history_value(result.value, result.unit, result.metric),
                "" if result.low is None or result.high is None else f"{result.low:.4g}…{result.high:.4g}",
                "" if result.n is None else str(result.n),
                result.conditions,
            )
        console.table(made)
    if found.verdicts:
        made = tables.new("case", "metric", "verdict", ">value", ">limit", "why")
        for verdict in found.verdicts:
            value, bound = (
                "" if verdict[key] is None else f"{verdict[key]:.4g} {verdict['unit']}"
                for key in ("value", "bound")
            )
            texts = [str(verdict[key]) for key in ("name", "metric", "status", "why")]
            made.add_row(*texts[:3], value, bound, texts[3])
        console.table(made)

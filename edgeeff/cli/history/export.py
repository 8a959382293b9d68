"""edgeeff history export: stored figures as CSV or Parquet."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from edgeeff.cli import console
from edgeeff.cli.history import _asked as asked
from edgeeff.errors import OptionError
from edgeeff.text import clean


def command(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A .csv or .parquet file. Default: CSV, printed.")
    ] = None,
    bundle: asked.Bundle = None,
    model: asked.Model = None,
    target: asked.Target = None,
    metric: asked.Metric = None,
    device: asked.Device = None,
    series: asked.Series = None,
    since: asked.Since = None,
    database: asked.Database = None,
    json: asked.Json = False,
) -> None:
    """Export figures, a row for each, with its run, bundle, commit and device.

    In CSV, text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    from edgeeff.files import write_file
    from edgeeff.history import exporting, finding, place
    from edgeeff.history.database import reading

    if output is not None and output.suffix.lower() not in (".csv", ".parquet"):
        raise OptionError(f"{output} is neither .csv nor .parquet", mend="name the file so")
    where = place.to_read(database)
    wanted = asked.wanted(bundle, model, target, metric, device, series, since)
    with reading(where) as connection:
        rows = [] if connection is None else [*exporting.rows(connection, wanted)]
    if output is None and json:
        console.as_json([{name: finding.plain(value) for name, value in row.items()} for row in rows])
        return
    escaped = 0
    if output is not None and output.suffix.lower() == ".parquet":
        content, count = exporting.as_parquet(iter(rows))
    else:
        content, count, escaped = exporting.as_csv(iter(rows))
    if output is None:
        sys.stdout.write(clean(content.decode().replace("\r\n", "\n")))
        sys.stdout.flush()
    else:
        write_file(output, content)
    if escaped:
        console.warn(f"{escaped} cells that a spreadsheet would take for formulas begin with an apostrophe")
    if output is not None and json:
        console.as_json({"path": str(output), "rows": count, "escaped_cells": escaped})
    elif output is not None:
        console.plain(f"{output}: {count} rows")

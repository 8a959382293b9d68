"""All figures that a filter lets through, a row for each, as CSV or Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from edgeeff.errors import MissingRuntimeError
from edgeeff.history.finding import Filter
from edgeeff.history.rows import fetched
from edgeeff.history.schema import Bundle, Environment, Result, Run
from edgeeff.installing import install_line

#: The columns, and what each holds.
_COLUMNS = {
    "run": Run.uid,
    "utc": Run.utc,
    "arrived": Run.arrived,
    "kind": Run.kind,
    "status": Run.status,
    "commit": Run.commit,
    "device": Environment.device,
    "series": Environment.series,
    "bundle": Bundle.name,
    "digest": Bundle.digest,
    "model": Bundle.model,
    "target": Bundle.target,
    "runtime": Bundle.runtime,
    "precision": Bundle.precision,
    "metric": Result.metric,
    "conditions": Result.conditions,
    "unit": Result.unit,
    "value": Result.value,
    "low": Result.low,
    "high": Result.high,
    "n": Result.n,
}
COLUMNS = tuple(_COLUMNS)
_NUMBERS = ("value", "low", "high", "n")
#: A spreadsheet takes a cell that begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")


def rows(connection: Connection, wanted: Filter) -> Iterator[dict[str, Any]]:
    """The figures, by the time of their runs."""
    asked = (
        select(*(column.label(name) for name, column in _COLUMNS.items()))
        .select_from(Result)
        .join(Bundle, Bundle.id == Result.bundle_id)
        .join(Run, Run.id == Result.run_id)
        .join(Environment, Environment.id == Run.environment_id)
        .where(*wanted.of_results(), *wanted.of_runs())
        .order_by(Run.placed, Run.id, Result.id)
    )
    for row in fetched(connection, asked):
        yield dict(zip(COLUMNS, row, strict=True))


def as_csv(some: Iterator[Mapping[str, Any]]) -> tuple[bytes, int, int]:
    """CSV with a heading, UTF-8, its number of rows, and of cells that a spreadsheet would take for formulas.

    These begin with an apostrophe in the file, as spreadsheets write text.
    """
    out, count, escaped = io.StringIO(newline=""), 0, 0
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for row in some:
        cells = []
        for name in COLUMNS:
            cell = row[name]
            if name not in _NUMBERS and str(cell or "").startswith(_FORMULA):
                cell, escaped = f"'{cell}", escaped + 1
            cells.append("" if cell is None else cell)
        writer.writerow(cells)
        count += 1
    return out.getvalue().encode(), count, escaped


def as_parquet(some: Iterator[Mapping[str, Any]]) -> tuple[bytes, int]:
    """Parquet with typed columns, and its number of rows.

    Raises:
        MissingRuntimeError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        raise MissingRuntimeError(
            "Parquet needs pyarrow, which is not installed",
            mend=f"install it: {install_line('parquet')}; or export CSV",
        ) from None
    listed = [*some]
    types = {name: pa.float64() for name in _NUMBERS} | {"n": pa.int64()}
    columns: Sequence[tuple[str, Any]] = [(name, types.get(name, pa.string())) for name in COLUMNS]
    arrays = [pa.array([row[name] for row in listed], kind) for name, kind in columns]
    out = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(arrays, schema=pa.schema(columns)), out)
    return out.getvalue(), len(listed)

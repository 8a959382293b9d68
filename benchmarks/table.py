"""One table on the screen, and the same figures as JSON with the machine and the versions they hold for."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.results import versions
from edgeeff.harness import machine

Row = Mapping[str, Any]


def show(title: str, rows: Sequence[Row], formats: Mapping[str, str] | None = None) -> None:
    """Print rows that have the same keys; ``formats`` gives columns their format, such as ``.1f``."""
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(rows[0]):
        table.add_column(column.replace("_", " "), justify="right" if number else "left")
    for row in rows:
        cells = (_cell(value, (formats or {}).get(column, "")) for column, value in row.items())
        table.add_row(*cells)
    # Piped into a file, a table as narrow as a terminal would break its words.
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def write_json(path: Path | None, rows: Sequence[Row], **context: Any) -> None:
    """Write rows and what they hold for; nothing where no path is given."""
    if path is None:
        return
    content = {"rows": list(rows), **context, "machine": machine.describe().to_json(), "versions": versions()}
    path.write_text(json.dumps(content, indent=2, default=str) + "\n", encoding="utf-8")


def arguments(description: str | None) -> argparse.ArgumentParser:
    """A parser that shows a module's docstring as it is written."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def _cell(value: Any, form: str) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        form = form or ".2f"
    return str(value) if isinstance(value, str) else format(value, form)

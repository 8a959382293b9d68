"""edgeeff history import: reports that were printed elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeeff.cli import console
from edgeeff.cli.history import _asked as asked


def command(
    reports: Annotated[
        list[Path], typer.Argument(help="JSON files of bench, eval or gate --json, or folders of them.")
    ],
    commit: Annotated[
        str | None, typer.Option(help="What was checked out, for reports that do not say.")
    ] = None,
    database: asked.Database = None,
    json: asked.Json = False,
) -> None:
    """Store reports of other machines, such as CI's artifacts: all of them, or none if one is refused."""
    import re

    from edgeeff.errors import OptionError
    from edgeeff.harness.commit import PATTERN
    from edgeeff.history import importing, place, storing

    if commit is not None and not re.fullmatch(PATTERN, commit):
        raise OptionError(f"--commit {commit[:60]!r} names no commit", mend="give its hash")
    where = place.to_read(database)
    stored = storing.store(where, importing.read(reports, commit), live=False)
    for warning in stored.warnings:
        console.warn(warning)
    if json:
        told = {"database": stored.place, "runs": list(stored.runs), "new": stored.new}
        console.as_json({**told, "warnings": list(stored.warnings)})
    else:
        there = len(stored.runs) - stored.new
        also = f"; {there} {'was' if there == 1 else 'were'} there already" if there else ""
        console.plain(f"{stored.place}: {stored.new} new run{'s' * (stored.new != 1)}{also}")

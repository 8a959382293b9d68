"""edgeeff history prune: old runs removed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeeff.cli import console
from edgeeff.cli.history import _asked as asked
from edgeeff.errors import OptionError


def command(
    keep: Annotated[
        str | None, typer.Option(help="Remove what is older: 12h, 90d, 4w, or a date in UTC.")
    ] = None,
    run: Annotated[str | None, typer.Option(help="Remove this one run: its first digits.")] = None,
    baselines: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of a suite's baselines: runs of their bundles stay, however old."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")
    ] = False,
    database: asked.Database = None,
    json: asked.Json = False,
) -> None:
    """Remove old runs; those of baselines stay, and the five newest of each bundle's name and series."""
    from edgeeff.history import finding, place, pruning
    from edgeeff.history.database import reading, writing

    if (keep is None) == (run is None):
        raise OptionError("prune needs --keep or --run", mend="say `--keep 90d`, or name one run with --run")
    where, before = place.to_read(database), finding.earliest(keep)
    digests = {digest for folder in baselines or () for digest in _digests(folder)}
    one = None
    with reading(where) as connection:
        if run is not None:
            one = finding.one_run(connection, run).uid
        there = connection is not None
    if not there:
        done = pruning.Pruned((), 0, 0, 0)
    elif dry_run:
        with reading(where) as connection:
            assert connection is not None
            done = pruning.prune(connection, before or "", digests, one=one, dry_run=True)
    else:
        with writing(where) as connection:
            done = pruning.prune(connection, before or "", digests, one=one)
    if json:
        console.as_json({"database": str(where), "dry_run": dry_run, **done.to_json()})
        return
    count = len(done.runs)
    console.plain(
        f"{where}: {count} run{'s' * (count != 1)} {'would be ' if dry_run else ''}removed, {done.left} left"
    )
    if done.kept_for_baselines or done.kept_for_series:
        console.plain(
            f"older ones that stay: {done.kept_for_baselines} of baselines, {done.kept_for_series} of the "
            "newest of their series"
        )


def _digests(folder: Path) -> list[str]:
    """The bundles of a folder's baselines.

    Raises:
        ReportError: A file there is no baseline.
        OptionError: There is no baseline.
    """
    from edgeeff.gate import baseline

    found = baseline.load_all(folder)
    if not found:
        raise OptionError(f"{folder} holds no baseline", mend="name the folder that the suite keeps them in")
    return [run.bundle for one in found for run in one.runs] + [one.bundle for one in found]

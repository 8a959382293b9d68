"""edgeeff history plot: a figure over time, with its steps."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeeff.cli import console, streams
from edgeeff.cli.history import _asked as asked

if TYPE_CHECKING:
    from edgeeff.history.changes import Change
    from edgeeff.history.finding import Track

_MOST = 8


def command(
    bundle: asked.Bundle = None,
    model: asked.Model = None,
    target: asked.Target = None,
    metric: asked.Metric = "cpu_ms",
    device: asked.Device = None,
    series: asked.Series = None,
    since: asked.Since = None,
    svg: Annotated[Path | None, typer.Option(help="Write a picture to this file, too.")] = None,
    database: asked.Database = None,
    json: asked.Json = False,
) -> None:
    """Plot a figure over time, one plot for each bundle, device and way of measuring, with its steps."""
    from edgeeff.files import write_file
    from edgeeff.history import drawing, finding, place
    from edgeeff.history.changes import changes
    from edgeeff.history.database import reading

    where = place.to_read(database)
    wanted = asked.wanted(bundle, model, target, metric, device, series, since)
    with reading(where) as connection:
        tracks = [] if connection is None else finding.tracks(connection, wanted)
    found = [(track, changes(track)) for track in tracks]
    if svg is not None:
        write_file(svg, drawing.svg(found[:_MOST]).encode())
    warnings = _left_out(len(found)) if svg is not None or not json else []
    for text in warnings:
        console.warn(text)
    if json:
        tracks_json = [{**track.to_json(), "changes": [c.to_json() for c in steps]} for track, steps in found]
        about = {"database": str(where), "svg": str(svg) if svg else None, "warnings": warnings}
        console.as_json({**about, "tracks": tracks_json})
        return
    _show(found, metric or "")
    if svg is not None:
        console.note(f"{svg}")


def _show(found: Sequence[tuple[Track, Sequence[Change]]], metric: str) -> None:
    from edgeeff.history import drawing

    if not found:
        console.plain(f"no result of {metric}: `edgeeff history list` says what there is")
    for number, (track, steps) in enumerate(found[:_MOST]):
        if number:
            console.plain("")
        unit = f", {track.unit}" if track.unit else ""
        console.plain(f"{track.bundle}: {track.metric}{unit}; {len(track.points)} runs")
        console.plain(f"on {track.device}, series {track.series[:8]}; {track.conditions}")
        for line in drawing.text(track, steps, ascii_alone=not streams.is_unicode(sys.stdout)):
            console.plain(line)
        for step in steps:
            console.plain(f"step {drawing.said(step)}")


def _left_out(plots: int) -> list[str]:
    """The warning that there are more plots than are drawn, if there are."""
    if plots <= _MOST:
        return []
    return [f"{plots - _MOST} of {plots} plots are left out: say which with --bundle or --series"]

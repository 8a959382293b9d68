"""edgeeff history changes: every step of every figure, and the commits in which it came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from edgeeff.cli import console, tables
from edgeeff.cli.history import _asked as asked

if TYPE_CHECKING:
    from edgeeff.history.finding import Track


def command(
    bundle: asked.Bundle = None,
    model: asked.Model = None,
    target: asked.Target = None,
    metric: asked.Metric = None,
    device: asked.Device = None,
    series: asked.Series = None,
    since: Annotated[
        str | None, typer.Option(help="Steps that came since: 12h, 90d, 4w, or a date in UTC.")
    ] = None,
    database: asked.Database = None,
    json: asked.Json = False,
) -> None:
    """Find since which run a figure is another one: steps of 1 % or more that four runs confirm."""
    from edgeeff.history import drawing, finding, place
    from edgeeff.history.changes import changes
    from edgeeff.history.database import reading

    where, earliest = place.to_read(database), finding.earliest(since)
    wanted = asked.wanted(bundle, model, target, metric, device, series)
    with reading(where) as connection:
        tracks = [] if connection is None else finding.tracks(connection, wanted)
    steps = [(track, step) for track in tracks for step in changes(track)]
    steps = [(track, step) for track, step in steps if earliest is None or step.first.placed >= earliest]
    steps.sort(key=lambda found: found[1].first.placed, reverse=True)
    warnings = _doubts(tracks)
    for text in warnings:
        console.warn(text)
    if json:
        about = [{k: v for k, v in track.to_json().items() if k != "points"} for track, _ in steps]
        listed = [{**one, **step.to_json()} for one, (_, step) in zip(about, steps, strict=True)]
        console.as_json(
            {"database": str(where), "tracks": len(tracks), "changes": listed, "warnings": warnings}
        )
        return
    if not steps:
        console.plain(f"no step in {len(tracks)} rows of figures")
        return
    made = tables.new("bundle", "figure", "step")
    for track, step in steps:
        made.add_row(track.bundle, f"{track.metric}\n{track.conditions}", drawing.said(step))
    console.table(made)


def _doubts(tracks: Sequence[Track]) -> list[str]:
    """Of which rows steps are told less surely than the documentation promises."""
    from edgeeff.history.changes import QUIET, noise

    found = [(sigma, track) for track in tracks if (sigma := noise(track)) is not None and sigma > QUIET]
    if not found:
        return []
    sigma, worst = max(found, key=lambda one: one[0])
    return [
        f"runs differ by more than {QUIET:.1%} (standard deviation) in {len(found)} of {len(tracks)} rows of "
        f"figures, most in {worst.metric} of {worst.bundle} ({sigma:.1%}): a 3 % step there may be "
        "missed, or be none; measure with more launches"
    ]

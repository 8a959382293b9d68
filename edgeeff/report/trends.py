"""How figures moved: what `edgeeff history plot --json` printed, or the history itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgeeff.harness.commit import between, short
from edgeeff.report import values
from edgeeff.report.material import Change, Point, Series

#: Figures that a page shows of a bundle where nobody says which, the most telling first.
TELLING = (
    *("cpu_ms", "wall_p50_ms", "images_per_second", "top_1", "map", "mean_average_precision", "f1_micro"),
    *("agreement", "sqnr_centred_db", "artifact_bytes", "peak_memory_mb", "energy_mj"),
)
#: Series of a page, and runs from which on a trend can be seen.
MOST, LEAST = 24, 2


def of_tracks(tracks: Sequence[Any]) -> list[Series]:
    """Series of the tracks of a history, as plain data, each with its changes."""
    found = []
    for track in tracks:
        kept: list[Point] = []
        places: dict[str, int] = {}
        for one in values.rows(track, "points"):
            value = values.number(one, "value")
            if value is not None:
                places[values.text(one, "uid")] = len(kept)
                ends = values.number(one, "low"), values.number(one, "high")
                commit = short(values.text(one, "commit"))
                kept.append(Point(values.text(one, "placed"), value, *ends, commit))
        changes = [
            Change(places[uid], *_said(one))
            for one in values.rows(track, "changes")
            if (uid := values.text(one, "first", "uid")) in places
        ]
        about = ", ".join(said for key in ("device", "conditions") if (said := values.text(track, key)))
        name, metric, unit = (values.text(track, key) for key in ("bundle", "metric", "unit"))
        if kept:
            found.append(Series(name, metric, unit, about, tuple(kept), tuple(changes)))
    return found


def _said(change: Any) -> tuple[str, str]:
    """A change in a few letters, and in a sentence with the commits between which it came."""
    step, when = values.number(change, "step"), values.text(change, "first", "placed")[:10]
    before, after = values.number(change, "before"), values.number(change, "after")
    size = "changed" if step is None else f"{100 * step:+.1f} %".replace("-", "\N{MINUS SIGN}")
    levels = "" if before is None or after is None else f" ({before:.4g} to {after:.4g})"
    came = between(*(values.text(change, "commit_range", place) for place in (0, 1)))
    return size, f"{when}: {size}{levels}; {came}"


def of_history(names: Sequence[str], database: str | None) -> tuple[list[Series], int]:
    """Series of bundles of these names, those that changed first; and how many more there are.

    Args:
        names: Of the bundles.
        database: A file or an URL; None: as ``EDGEEFF_HISTORY`` says, else the user's own.

    Raises:
        HistoryError: The database cannot be read.
        OptionError: It is no database, or the history is switched off.
        MissingRuntimeError: Its extra is not installed.
    """
    from edgeeff.history import finding, place
    from edgeeff.history.changes import changes
    from edgeeff.history.database import reading

    with reading(place.to_read(database)) as connection:
        tracks = [
            track
            for name in dict.fromkeys(names)
            for track in (
                [] if connection is None else finding.tracks(connection, finding.Filter(bundle=name))
            )
            if track.metric in TELLING and len(track.points) >= LEAST
        ]
    told: list[tuple[bool, int, Mapping[str, Any]]] = []
    for track in tracks:
        steps = changes(track)
        data = {**track.to_json(), "changes": [step.to_json() for step in steps]}
        told.append((not steps, TELLING.index(track.metric), data))
    told.sort(key=lambda one: one[:2])
    return of_tracks([data for *_, data in told[:MOST]]), max(0, len(told) - MOST)

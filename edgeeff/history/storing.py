"""Writing reports: each whole in one transaction, and once, however often it is stored."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from edgeeff.errors import HistoryError
from edgeeff.history import database, schema
from edgeeff.history.figures import Figure
from edgeeff.history.place import Place
from edgeeff.history.reports import Read
from edgeeff.history.series import device, series

_FORM = "%Y-%m-%dT%H:%M:%SZ"
#: Two machines of one kind may differ by so much.
_TOLERANCE = timedelta(seconds=60)


@dataclass(frozen=True)
class Stored:
    """What became of reports: all of them are in the database when this is returned.

    Args:
        place: The database, as it is shown.
        runs: The run of each report.
        new: How many of these were not there before.
        warnings: What the reader must not miss.
    """

    place: str
    runs: tuple[str, ...]
    new: int
    warnings: tuple[str, ...] = ()


def store(place: Place, reports: Sequence[Read], *, live: bool = True) -> Stored:
    """Put reports into a database, all or none of them.

    Args:
        place: The database.
        reports: What is to be stored.
        live: They were made here and now: then this machine's clock is held against earlier runs.

    Raises:
        HistoryError: The database refuses, or has another report of the same run.
    """
    new, warnings = 0, []
    with database.writing(place) as connection:
        for report in reports:
            stored, warning = _one(connection, place, report, live=live)
            new += stored
            warnings += [warning] if warning else []
    uids = tuple(dict.fromkeys(report.uid for report in reports))
    return Stored(str(place), uids, new, tuple(dict.fromkeys(warnings)))


def _one(connection: Connection, place: Place, report: Read, *, live: bool) -> tuple[bool, str | None]:
    known = connection.execute(
        select(schema.Run.digest).where(schema.Run.uid == report.uid)
    ).scalar_one_or_none()
    if known is not None:
        _refuse_another(known, report, place)
        return False, None
    environment = _keep(
        connection,
        schema.Environment,
        {
            "digest": report.environment_digest,
            "series": series(report.environment),
            "device": device(report.environment)[:300],
            "facts": dict(report.environment),
        },
    )
    names = sorted(report.bundles, key=lambda name: report.bundles[name])  # one order: no two writers cross
    bundles = {name: _keep_bundle(connection, _bundle(report, name)) for name in names}
    now = datetime.now(timezone.utc)
    placed, warning = _place_in_time(connection, environment, report.utc, now) if live else (report.utc, None)
    warning = warning or _from_the_future(report, now)
    said = report.said
    row = {
        "uid": report.uid,
        "digest": report.digest,
        "kind": report.kind,
        "utc": report.utc,
        "arrived": now.strftime(_FORM),
        "placed": placed,
        "status": said.status,
        "commit": report.commit,
        "environment_id": environment,
        "facts": {**said.facts, **({"bundles_not_run": [*said.not_run]} if said.not_run else {})},
        "warnings": said.warned,
    }
    made = connection.execute(
        _insert(connection, schema.Run).values(row).on_conflict_do_nothing().returning(schema.Run.id)
    ).scalar_one_or_none()
    if made is None:  # another process stored the same report a moment ago
        found = connection.execute(select(schema.Run.digest).where(schema.Run.uid == report.uid)).scalar_one()
        _refuse_another(found, report, place)
        return False, None
    return True, _fill(connection, made, report, bundles) or warning


def _refuse_another(digest: str, report: Read, place: Place) -> None:
    if digest != report.digest:
        raise HistoryError(
            f"{place} has another report of the run {report.uid}",
            mend="a report was edited after its run, or two runs claim one number: store the one that you "
            f"trust; `edgeeff history prune --run {report.uid[:12]}` removes the other",
        )


def _fill(connection: Connection, run: int, report: Read, bundles: Mapping[str, int]) -> str | None:
    """Write a run's figures and verdicts; a warning where two of its bundles are one."""
    results: dict[tuple[int, str, str], Figure] = {}
    for figure in report.said.figures:
        results.setdefault((bundles[figure.bundle], figure.metric, figure.conditions), figure)
    _many(
        connection,
        schema.Result,
        (
            {
                "run_id": run,
                "bundle_id": bundle,
                "metric": metric,
                "conditions": conditions,
                "unit": figure.unit,
                "value": _null(figure.value),
                "low": _null(figure.low),
                "high": _null(figure.high),
                "n": figure.n,
                "samples": list(figure.samples),
            }
            for (bundle, metric, conditions), figure in results.items()
        ),
    )
    floats = ("value", "low", "high", "bound")
    _many(
        connection,
        schema.Verdict,
        (
            {**vars(decision), **{name: _null(getattr(decision, name)) for name in floats}, "run_id": run}
            for decision in report.said.decisions
        ),
    )
    if len(results) == len(report.said.figures):
        return None
    names = [name for name, key in bundles.items() if [*bundles.values()].count(key) > 1]
    both = " and ".join(sorted(names))
    return f"{both} are the same bundle, by their digest: only the figures of one are kept"


def _many(connection: Connection, kind: type[schema.Table], rows: Iterable[dict[str, Any]]) -> None:
    listed = [*rows]
    if listed:
        connection.execute(insert(kind), listed)


def _bundle(report: Read, name: str) -> dict[str, Any]:
    about = report.about[name]
    named = ("model", "target", "runtime", "precision")
    return {
        "digest": report.bundles[name],
        "name": about["name"] or name,
        **{key: about[key] for key in named},
        "facts": {key: value for key, value in about.items() if key not in ("name", *named)},
    }


def _keep_bundle(connection: Connection, row: dict[str, Any]) -> int:
    """The key of a bundle; what reports of an older edgeeff did not say of it is filled in."""
    key = _keep(connection, schema.Bundle, row)
    if row["model"]:
        unknown = (schema.Bundle.id == key, schema.Bundle.model == "")
        connection.execute(update(schema.Bundle).where(*unknown).values(row))
    return key


def _keep(connection: Connection, kind: type[schema.Bundle | schema.Environment], row: dict[str, Any]) -> int:
    """The key of a row that is told by its digest; the first that came stays."""
    asked = select(kind.id).where(kind.digest == row["digest"])
    found = connection.execute(asked).scalar_one_or_none()
    if found is None:
        connection.execute(_insert(connection, kind).values(row).on_conflict_do_nothing())
        found = connection.execute(asked).scalar_one()
    return found


def _insert(connection: Connection, kind: type[schema.Table]) -> sqlite.Insert | postgresql.Insert:
    return sqlite.insert(kind) if connection.dialect.name == "sqlite" else postgresql.insert(kind)


def _place_in_time(
    connection: Connection, environment: int, utc: str, now: datetime
) -> tuple[str, str | None]:
    """Where a run of this machine stands among its others, and a warning where its clock went backwards."""
    of_here = schema.Run.environment_id == environment
    last = connection.execute(select(func.max(schema.Run.arrived)).where(of_here)).scalar()
    if last is None or (now + _TOLERANCE).strftime(_FORM) >= str(last):
        return utc, None
    latest = connection.execute(select(func.max(schema.Run.placed)).where(of_here)).scalar_one()
    return max(utc, str(latest)), (
        f"the clock of this machine went backwards: it says {now.strftime(_FORM)}, and an earlier run was "
        f"stored at {last}; the run is put after that one"
    )


def _from_the_future(report: Read, now: datetime) -> str | None:
    if report.utc <= (now + timedelta(days=1)).strftime(_FORM):
        return None
    return f"the run {report.uid[:12]} says that it was begun at {report.utc}, which is still to come"


def _null(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value

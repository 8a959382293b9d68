"""Asking the database: runs, the newest first, and tracks: figures of one kind in the order of time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, select

from edgeeff.errors import HistoryError, OptionError
from edgeeff.history.rows import fetched
from edgeeff.history.schema import Bundle, Environment, Result, Run, Verdict
from edgeeff.metrics import json_number

_UNITS = {"h": "hours", "d": "days", "w": "weeks"}
#: So many parameters of one statement every SQLite takes.
_AT_ONCE = 500


@dataclass(frozen=True)
class Filter:
    """Which results are meant; None: whatever it is.

    Args:
        bundle: A bundle's name.
        model: A network's name.
        target: A target's name.
        metric: A figure's name.
        device: Part of the name of a board or processor; upper and lower case are the same.
        series: The beginning of a series' SHA-256.
        kind: Of a report.
        since: The earliest time, as :func:`earliest` gives it.
    """

    bundle: str | None = None
    model: str | None = None
    target: str | None = None
    metric: str | None = None
    device: str | None = None
    series: str | None = None
    kind: str | None = None
    since: str | None = None

    def of_results(self) -> list[ColumnElement[bool]]:
        """What it asks of results and their bundles."""
        asked = ((Bundle.name, self.bundle), (Bundle.model, self.model), (Bundle.target, self.target))
        named = (*asked, (Result.metric, self.metric))
        return [column == value for column, value in named if value is not None]

    def of_runs(self) -> list[ColumnElement[bool]]:
        """What it asks of runs and their environments."""
        found: list[ColumnElement[bool]] = []
        if self.device is not None:
            found.append(func.lower(Environment.device).contains(self.device.lower(), autoescape=True))
        if self.series is not None:
            found.append(Environment.series.startswith(self.series.lower(), autoescape=True))
        if self.kind is not None:
            found.append(Run.kind == self.kind)
        if self.since is not None:
            found.append(Run.placed >= self.since)
        return found


@dataclass(frozen=True)
class FoundResult:
    """A figure, and the bundle that it is of."""

    bundle: str
    digest: str
    model: str
    target: str
    runtime: str
    precision: str
    metric: str
    conditions: str
    unit: str
    value: float | None
    low: float | None
    high: float | None
    n: int | None
    samples: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As plain data; a value that is no number is None, an infinite one its name."""
        return {**vars(self), **_ends(self), "samples": list(self.samples)}


@dataclass(frozen=True)
class FoundRun:
    """A run, with the results that were asked for; times as in :class:`edgeeff.history.schema.Run`."""

    uid: str
    kind: str
    utc: str
    arrived: str
    placed: str
    status: str
    commit: str | None
    device: str
    series: str
    warnings: int | None
    facts: Mapping[str, Any]
    environment: Mapping[str, Any]
    results: tuple[FoundResult, ...] = ()
    verdicts: tuple[Mapping[str, Any], ...] = ()

    @property
    def not_run(self) -> tuple[str, ...]:
        """Names of the bundles that did not run."""
        names = self.facts.get("bundles_not_run", ())
        return tuple(map(str, names)) if isinstance(names, list | tuple) else ()

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        data = {
            k: v for k, v in vars(self).items() if k not in ("results", "verdicts", "facts", "environment")
        }
        return {
            **data,
            "facts": dict(self.facts),
            "environment": dict(self.environment),
            "results": [result.to_json() for result in self.results],
            "verdicts": [{k: plain(v) for k, v in verdict.items()} for verdict in self.verdicts],
        }


@dataclass(frozen=True)
class Point:
    """One figure of a track. ``value`` is None where it is no number."""

    uid: str
    placed: str
    commit: str | None
    digest: str
    value: float | None
    low: float | None
    high: float | None

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {**vars(self), **_ends(self)}


@dataclass(frozen=True)
class Track:
    """Figures that may be compared, the oldest first.

    Args:
        bundle: The bundles' name.
        metric: The figure's.
        conditions: How all of them were measured.
        series: What they were measured on: the SHA-256 of board, processor and runtimes.
        device: Its name.
        unit: The figures'.
        points: One for each run.
    """

    bundle: str
    metric: str
    conditions: str
    series: str
    device: str
    unit: str
    points: tuple[Point, ...] = field(default=(), repr=False)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {**vars(self), "points": [point.to_json() for point in self.points]}


def earliest(text: str | None) -> str | None:
    """The time that ``--since`` or ``--keep`` means: ``90d``, ``12h``, ``4w``, or a date in UTC.

    Raises:
        OptionError: It is none of these.
    """
    if text is None:
        return None
    if found := re.fullmatch(r"([0-9]{1,5})([hdw])", text):
        past = timedelta(**{_UNITS[found[2]]: int(found[1])})
        try:
            return _as_stored(datetime.now(timezone.utc) - past)
        except OverflowError:
            return _as_stored(datetime.min)
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:]{5,8}Z?)?", text):
        try:
            return _as_stored(datetime.fromisoformat(text.removesuffix("Z")))
        except ValueError:
            pass
    raise OptionError(f"{text!r} is no time", mend="give 12h, 90d or 4w, or a date in UTC such as 2026-01-31")


def _as_stored(time: datetime) -> str:
    """With four digits of the year, which ``strftime`` does not write of the year 999: texts are compared."""
    return f"{time.replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def runs(
    connection: Connection, wanted: Filter, *, limit: int | None, uid: str | None = None
) -> list[FoundRun]:
    """Runs, the newest first, each with the results that the filter lets through.

    Args:
        connection: Of the database.
        wanted: Which.
        limit: So many at most; None: all.
        uid: The beginning of a run's number.
    """
    of_environment = (Environment.device, Environment.series, Environment.facts.label("environment"))
    asked = select(*Run.__table__.columns, *of_environment).join(Environment).where(*wanted.of_runs())
    if uid is not None:
        asked = asked.where(Run.uid.startswith(uid.lower(), autoescape=True))
    of_results = wanted.of_results()
    if of_results:
        some = select(Result.id).join(Bundle).where(Result.run_id == Run.id, *of_results)
        asked = asked.where(some.exists())
    rows = fetched(connection, asked.order_by(Run.placed.desc(), Run.id.desc()).limit(limit))
    results: dict[int, list[FoundResult]] = {}
    verdicts: dict[int, list[Mapping[str, Any]]] = {}
    for part in _parts([row[0] for row in rows]):
        for row in fetched(connection, _results(of_results).where(Result.run_id.in_(part))):
            results.setdefault(row.run_id, []).append(_result(row))
        of_part = select(*Verdict.__table__.columns).where(Verdict.run_id.in_(part)).order_by(Verdict.id)
        for row in fetched(connection, of_part):
            data = {k: v for k, v in row._mapping.items() if k not in ("id", "run_id")}
            verdicts.setdefault(row.run_id, []).append(data)
    return [_run(row, results.get(row[0], ()), verdicts.get(row[0], ())) for row in rows]


def one_run(connection: Connection | None, uid: str) -> FoundRun:
    """The run whose number begins so.

    Raises:
        HistoryError: There is none, or several.
    """
    if not re.fullmatch(r"[0-9a-fA-F]{4,32}", uid):
        raise OptionError(f"{uid[:40]!r} is no run's number", mend="give its first 4 digits or more")
    found = [] if connection is None else runs(connection, Filter(), limit=2, uid=uid)
    if not found:
        raise HistoryError(f"there is no run {uid}", mend="`edgeeff history list` names the runs")
    if len(found) > 1:
        raise HistoryError(f"several runs begin with {uid}", mend="give more of its digits")
    return found[0]


def tracks(connection: Connection, wanted: Filter) -> list[Track]:
    """The tracks that a filter lets through: by bundle, metric, conditions and series; points by time."""
    columns = (Run.uid, Run.placed, Run.commit, Bundle.digest, Result.value, Result.low, Result.high)
    named = (Bundle.name, Result.metric, Result.conditions, Environment.series)
    asked = (
        select(*columns, *named, Environment.device, Result.unit)
        .select_from(Bundle)
        .join(Result, Result.bundle_id == Bundle.id)
        .join(Run, Run.id == Result.run_id)
        .join(Environment, Environment.id == Run.environment_id)
        .where(*wanted.of_results(), *wanted.of_runs())
        .order_by(Run.placed, Run.id)
    )
    points: dict[tuple[str, str, str, str], list[Point]] = {}
    last: dict[tuple[str, str, str, str], tuple[str, str]] = {}
    for row in fetched(connection, asked):
        *figure, name, metric, conditions, series, device, unit = row
        key = (name, metric, conditions, series)
        points.setdefault(key, []).append(Point(*figure))
        last[key] = device, unit
    return [Track(*key, *last[key], tuple(points[key])) for key in sorted(points)]


def plain(value: Any) -> Any:
    """A figure as JSON has it: what it has no number for is its name (``inf``)."""
    return json_number(value) if isinstance(value, float) else value


def _ends(of: FoundResult | Point) -> dict[str, Any]:
    return {name: plain(getattr(of, name)) for name in ("value", "low", "high")}


def _results(wanted: Sequence[ColumnElement[bool]]) -> Select[Any]:
    of_bundle = (Bundle.name, Bundle.digest, Bundle.model, Bundle.target, Bundle.runtime, Bundle.precision)
    return (
        select(*Result.__table__.columns, *of_bundle)
        .join(Bundle)
        .where(and_(True, *wanted))
        .order_by(Result.id)
    )


def _result(row: Any) -> FoundResult:
    own = ("metric", "conditions", "unit", "value", "low", "high", "n")
    about = ("digest", "model", "target", "runtime", "precision")
    found = {name: getattr(row, name) for name in (*own, *about)}
    return FoundResult(bundle=row.name, samples=tuple(row.samples), **found)


def _run(row: Any, results: Iterable[FoundResult], verdicts: Iterable[Mapping[str, Any]]) -> FoundRun:
    of_run = ("uid", "kind", "utc", "arrived", "placed", "status", "commit", "device", "series", "warnings")
    found = {name: getattr(row, name) for name in (*of_run, "facts", "environment")}
    return FoundRun(**found, results=tuple(results), verdicts=tuple(verdicts))


def _parts(keys: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(keys), _AT_ONCE):
        yield keys[start : start + _AT_ONCE]

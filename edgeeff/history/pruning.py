"""Old runs removed, but for those that a baseline or a trend still needs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, select

from edgeeff.history.schema import Bundle, Environment, Result, Run, Verdict

#: The newest runs of each bundle's name and series: what runs of one series differ by wants five at least.
KEPT_OF_A_SERIES = 5
_AT_ONCE = 500


@dataclass(frozen=True)
class Pruned:
    """What was, or would be, removed.

    Args:
        runs: Their numbers.
        kept_for_baselines: Older runs that stay, since a baseline is one of their bundles.
        kept_for_series: Older runs that stay, as they are among the newest of their series.
        left: Runs that are in the database afterwards.
    """

    runs: tuple[str, ...]
    kept_for_baselines: int
    kept_for_series: int
    left: int

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {**vars(self), "runs": list(self.runs)}


def prune(
    connection: Connection,
    before: str,
    baselines: Collection[str] = (),
    *,
    one: str | None = None,
    dry_run: bool = False,
) -> Pruned:
    """Remove the runs that are older, with their figures and verdicts.

    Args:
        connection: A transaction that writes.
        before: The time that the oldest run may have.
        baselines: SHA-256 of bundles that are baselines.
        one: Remove the run of this number instead, whatever needs it.
        dry_run: Remove nothing.
    """
    if one is not None:
        before, baselines = "", ()
    old = connection.execute(select(Run.id, Run.uid).where(Run.placed < before)).all()
    asked = select(Result.run_id).join(Bundle).where(Bundle.digest.in_(baselines)).distinct()
    for_baselines = set(connection.execute(asked).scalars()) if baselines else set()
    for_series = _newest(connection)
    gone = [(key, uid) for key, uid in old if key not in for_baselines and key not in for_series]
    if one is not None:
        gone = [(key, one) for key in connection.execute(select(Run.id).where(Run.uid == one)).scalars()]
    total = connection.execute(select(func.count(Run.id))).scalar_one()
    if not dry_run:
        remove(connection, [key for key, _ in gone])
    kept = [key for key, _ in old]
    return Pruned(
        tuple(uid for _, uid in gone),
        sum(key in for_baselines for key in kept),
        sum(key in for_series - for_baselines for key in kept),
        total - len(gone),
    )


def remove(connection: Connection, keys: Collection[int]) -> None:
    """Remove runs with all that is of them; bundles and environments that nobody is of then go too."""
    listed = [*keys]
    for start in range(0, len(listed), _AT_ONCE):
        some = listed[start : start + _AT_ONCE]
        for kind in (Result, Verdict):
            connection.execute(delete(kind).where(kind.run_id.in_(some)))
        connection.execute(delete(Run).where(Run.id.in_(some)))
    used = select(Result.id).where(Result.bundle_id == Bundle.id).exists()
    connection.execute(delete(Bundle).where(~used))
    lives = select(Run.id).where(Run.environment_id == Environment.id).exists()
    connection.execute(delete(Environment).where(~lives))


def _newest(connection: Connection) -> set[int]:
    """The newest runs of each bundle's name, kind of report and series."""
    pairs = (
        select(Result.run_id, Bundle.name, Environment.series, Run.kind, Run.placed)
        .join(Bundle, Bundle.id == Result.bundle_id)
        .join(Run, Run.id == Result.run_id)
        .join(Environment, Environment.id == Run.environment_id)
        .distinct()
        .subquery()
    )
    rank = func.row_number().over(
        partition_by=(pairs.c.name, pairs.c.series, pairs.c.kind),
        order_by=(pairs.c.placed.desc(), pairs.c.run_id.desc()),
    )
    ranked = select(pairs.c.run_id, rank.label("rank")).subquery()
    return set(connection.execute(select(ranked.c.run_id).where(ranked.c.rank <= KEPT_OF_A_SERIES)).scalars())

"""The tables of the database, as the newest migration leaves them.

Times are text, ISO 8601 in UTC to the second: they sort as they are, and every database keeps them alike. A
figure that is no number (NaN) is NULL.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, Float, ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

#: The newest revision of ``migrations/versions``, which these tables are.
HEAD = "0003"
#: The table in which the database's own revision stands; it also marks a database as one of ours.
VERSION_TABLE = "edgeeff_history_version"
#: The same in the header of an SQLite file ("edge" in ASCII).
APPLICATION_ID = 0x65646765

#: SQLite numbers rows by itself in a column of just this type.
_Key = BigInteger().with_variant(Integer, "sqlite")


class Table(DeclarativeBase):
    """All tables."""

    type_annotation_map: ClassVar[Any] = {dict[str, Any]: JSON, list[float]: JSON, float: Float(53)}


class Bundle(Table):
    """A bundle, by the SHA-256 of its manifest; what was not said of it is empty."""

    __tablename__ = "bundle"
    __table_args__ = (Index("bundle_by_model", "model", "target"), Index("bundle_by_name", "name"))

    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(300))
    model: Mapped[str] = mapped_column(String(300))
    target: Mapped[str] = mapped_column(String(300))
    runtime: Mapped[str] = mapped_column(String(100))
    precision: Mapped[str] = mapped_column(String(20))
    facts: Mapped[dict[str, Any]]


class Environment(Table):
    """What figures were measured on: never a reading such as a load or a temperature.

    ``series`` is the same for environments whose figures make one trend, see :mod:`edgeeff.history.series`.
    """

    __tablename__ = "environment"
    __table_args__ = (Index("environment_by_series", "series"),)

    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    series: Mapped[str] = mapped_column(String(64))
    device: Mapped[str] = mapped_column(String(300))
    facts: Mapped[dict[str, Any]]


class Run(Table):
    """One report. ``uid`` is its record's ``run_id``, ``digest`` the SHA-256 of what was stored of it.

    ``utc`` is when the report says that it was begun, ``arrived`` when it was stored, and ``placed`` where it
    stands in time: ``utc``, but never before an earlier run where the machine's clock went backwards.
    """

    __tablename__ = "run"
    __table_args__ = (
        Index("run_by_time", "placed", "id"),
        Index("run_by_environment", "environment_id", "arrived"),
    )

    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    uid: Mapped[str] = mapped_column(String(32), unique=True)
    digest: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(20))
    utc: Mapped[str] = mapped_column(String(20))
    arrived: Mapped[str] = mapped_column(String(20))
    placed: Mapped[str] = mapped_column(String(20))
    status: Mapped[str] = mapped_column(String(20))
    commit: Mapped[str | None] = mapped_column(String(100))
    environment_id: Mapped[int] = mapped_column(ForeignKey("environment.id"))
    facts: Mapped[dict[str, Any]]
    #: How many it had, since the second revision; None of an older row.
    warnings: Mapped[int | None]


class Result(Table):
    """One figure of one bundle. Only figures of the same ``conditions`` are compared."""

    __tablename__ = "result"
    __table_args__ = (
        UniqueConstraint("run_id", "bundle_id", "metric", "conditions", name="result_once"),
        Index("result_by_bundle", "bundle_id", "metric", "run_id"),
    )

    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"))
    bundle_id: Mapped[int] = mapped_column(ForeignKey("bundle.id"))
    metric: Mapped[str] = mapped_column(String(100))
    conditions: Mapped[str] = mapped_column(String(300))
    unit: Mapped[str] = mapped_column(String(20))
    value: Mapped[float | None]
    low: Mapped[float | None]
    high: Mapped[float | None]
    n: Mapped[int | None] = mapped_column(BigInteger)
    samples: Mapped[list[float]]


class Verdict(Table):
    """What a gate decided of one metric of one case."""

    __tablename__ = "verdict"
    __table_args__ = (Index("verdict_by_run", "run_id"),)

    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(300))
    metric: Mapped[str] = mapped_column(String(100))
    status: Mapped[str] = mapped_column(String(20))
    unit: Mapped[str] = mapped_column(String(20))
    value: Mapped[float | None]
    low: Mapped[float | None]
    high: Mapped[float | None]
    bound: Mapped[float | None]
    why: Mapped[str] = mapped_column(Text)

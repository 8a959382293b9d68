"""All tables."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_KEY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _column(name: str, kind: Any, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=nullable)


def _figures(*names: str) -> list[sa.Column[Any]]:
    return [_column(name, sa.Float(53), nullable=True) for name in names]


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "bundle",
        sa.Column("id", _KEY, primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        _column("name", sa.String(300)),
        _column("model", sa.String(300)),
        _column("target", sa.String(300)),
        _column("runtime", sa.String(100)),
        _column("precision", sa.String(20)),
        _column("facts", sa.JSON()),
    )
    op.create_index("bundle_by_model", "bundle", ["model", "target"])
    op.create_index("bundle_by_name", "bundle", ["name"])
    op.create_table(
        "environment",
        sa.Column("id", _KEY, primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        _column("series", sa.String(64)),
        _column("device", sa.String(300)),
        _column("facts", sa.JSON()),
    )
    op.create_index("environment_by_series", "environment", ["series"])
    op.create_table(
        "run",
        sa.Column("id", _KEY, primary_key=True),
        sa.Column("uid", sa.String(32), nullable=False, unique=True),
        _column("digest", sa.String(64)),
        _column("kind", sa.String(20)),
        _column("utc", sa.String(20)),
        _column("arrived", sa.String(20)),
        _column("placed", sa.String(20)),
        _column("status", sa.String(20)),
        _column("commit", sa.String(100), nullable=True),
        sa.Column("environment_id", _KEY, sa.ForeignKey("environment.id"), nullable=False),
        _column("facts", sa.JSON()),
    )
    op.create_index("run_by_time", "run", ["placed", "id"])
    op.create_index("run_by_environment", "run", ["environment_id", "arrived"])
    of_a_run = sa.ForeignKey("run.id", ondelete="CASCADE")
    op.create_table(
        "result",
        sa.Column("id", _KEY, primary_key=True),
        sa.Column("run_id", _KEY, of_a_run, nullable=False),
        sa.Column("bundle_id", _KEY, sa.ForeignKey("bundle.id"), nullable=False),
        _column("metric", sa.String(100)),
        _column("conditions", sa.String(300)),
        _column("unit", sa.String(20)),
        *_figures("value", "low", "high"),
        _column("n", sa.BigInteger(), nullable=True),
        _column("samples", sa.JSON()),
        sa.UniqueConstraint("run_id", "bundle_id", "metric", "conditions", name="result_once"),
    )
    op.create_index("result_by_bundle", "result", ["bundle_id", "metric", "run_id"])
    _gate()


def _gate() -> None:
    op.create_table(
        "suite",
        sa.Column("id", _KEY, primary_key=True),
        sa.Column("name", sa.String(300), nullable=False, unique=True),
        _column("facts", sa.JSON()),
    )
    op.create_table(
        "baseline",
        sa.Column("id", _KEY, primary_key=True),
        sa.Column("suite_id", _KEY, sa.ForeignKey("suite.id", ondelete="CASCADE"), nullable=False),
        sa.Column("bundle_id", _KEY, sa.ForeignKey("bundle.id"), nullable=False),
        _column("reviewer", sa.String(300)),
        _column("utc", sa.String(20)),
        sa.UniqueConstraint("suite_id", "bundle_id", name="baseline_once"),
    )
    op.create_table(
        "verdict",
        sa.Column("id", _KEY, primary_key=True),
        sa.Column("run_id", _KEY, sa.ForeignKey("run.id", ondelete="CASCADE"), nullable=False),
        _column("name", sa.String(300)),
        _column("metric", sa.String(100)),
        _column("status", sa.String(20)),
        _column("unit", sa.String(20)),
        *_figures("value", "low", "high", "bound"),
        _column("why", sa.Text()),
    )
    op.create_index("verdict_by_run", "verdict", ["run_id"])

"""Without the tables of suites and baselines, which nothing ever filled: these are files of a repository."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Remove them, the one that refers to the other first."""
    op.drop_table("baseline")
    op.drop_table("suite")

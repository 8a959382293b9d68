"""How many warnings a run had."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column; of runs that are there it is not known."""
    op.add_column("run", sa.Column("warnings", sa.Integer, nullable=True))

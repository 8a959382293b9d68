"""Alembic runs this file for each migration, within the transaction that it is given."""

from __future__ import annotations

from alembic import context

from edgeeff.history.schema import VERSION_TABLE

# render_as_batch: SQLite cannot change a column, so Alembic writes the table anew.
context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()

"""How the database came to be: Alembic's scripts, run by :mod:`edgeeff.history.migrating`."""

"""The schema: what its scripts make, an older one migrated after a copy, a newer one refused."""

from __future__ import annotations

import fcntl
import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import inspect

from edgeeff import history
from edgeeff.errors import HistoryError
from edgeeff.history import database, finding, migrating, place
from edgeeff.history.finding import Filter
from edgeeff.history.schema import HEAD, VERSION_TABLE, Table


def first_schema(where: place.Place, *statements: str) -> None:
    """A database as the first release wrote it."""
    with database._engine(where, write=True).begin() as connection:
        migrating.upgrade(connection, "0001")
        for statement in statements:
            connection.exec_driver_sql(statement)


ROWS = (
    "INSERT INTO environment VALUES (1, 'e', 's', 'old board', '{}')",
    "INSERT INTO run VALUES (1, 'f00d', 'd', 'latency', '2025-01-01T00:00:00Z', '2025-01-01T00:00:00Z', "
    "'2025-01-01T00:00:00Z', 'ok', NULL, 1, '{}')",
)


def columns(connection):
    found = inspect(connection)
    return {
        name: {
            column["name"]: (str(column["type"]), column["nullable"]) for column in found.get_columns(name)
        }
        | {index["name"]: tuple(index["column_names"]) for index in found.get_indexes(name)}
        for name in sorted(found.get_table_names())
        if name != VERSION_TABLE
    }


def check_tables(where):
    """What the scripts make is what the code's tables say."""
    with database.reading(where) as connection:
        made = columns(connection)
    said = place.of_file(where.file.with_name("said.sqlite")) if where.file else None
    if said is not None:
        with database._engine(said, write=True).begin() as connection:
            Table.metadata.create_all(connection)
            assert made == columns(connection)
    assert set(made) == {table.name for table in Table.metadata.sorted_tables}


def test_the_scripts_make_the_tables(make_report, tmp_path):
    where = place.named(str(tmp_path / "a %s b" / "history.sqlite"))  # names that a format would eat
    history.remember(make_report(), database=str(where))
    check_tables(where)
    assert migrating.revisions()[0] == HEAD
    with closing(sqlite3.connect(where.file)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize("use", ["remember", "read", "migrate"])
def test_an_older_file_is_migrated_after_a_copy(make_report, tmp_path, use):
    where = place.named(str(tmp_path / "history.sqlite"))
    first_schema(where, *ROWS)
    if use == "remember":
        history.remember(make_report(), database=str(where))
    elif use == "migrate":
        assert database.migrate(where) == "0001" and database.migrate(where) == HEAD
    with database.reading(where) as connection:
        runs = {run.uid: run for run in finding.runs(connection, Filter(), limit=None)}
    assert runs["f00d"].device == "old board" and runs["f00d"].warnings is None
    assert len(runs) == 1 + (use == "remember")
    (copy,) = tmp_path.glob("history.sqlite.schema-0001-*")
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone() == ("0001",)
        assert connection.execute("SELECT uid FROM run").fetchall() == [("f00d",)]
    check_tables(where)


def test_a_migration_that_fails_leaves_the_older_file(make_report, tmp_path, monkeypatch):
    where = place.named(str(tmp_path / "history.sqlite"))
    first_schema(where, *ROWS, "ALTER TABLE run ADD COLUMN warnings TEXT")  # somebody else's
    with pytest.raises(HistoryError, match="duplicate column"):
        history.remember(make_report(), database=str(where))
    with closing(sqlite3.connect(where.file)) as connection:
        assert connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone() == ("0001",)
        assert connection.execute("SELECT uid FROM run").fetchall() == [("f00d",)]


def test_who_makes_or_migrates_a_file_is_not_waited_for_without_end(make_report, tmp_path, monkeypatch):
    monkeypatch.setattr(database, "WAIT_SECONDS", 0.1)
    where = place.named(str(tmp_path / "history.sqlite"))
    with (tmp_path / "history.sqlite.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(HistoryError, match=r"is locked: another process .* migrating it for 0\.1 s"):
            history.remember(make_report(), database=str(where))
    assert history.remember(make_report(), database=str(where)).new == 1

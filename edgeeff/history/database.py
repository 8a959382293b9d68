"""Opening the database: SQLite in WAL mode or PostgreSQL, ours and of this schema, or one clear refusal."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, select, table
from sqlalchemy import column as named_column
from sqlalchemy import exc as failures
from sqlalchemy.pool import NullPool

from edgeeff import regular
from edgeeff.errors import HistoryError
from edgeeff.history.place import Place, without_password
from edgeeff.history.schema import APPLICATION_ID, HEAD, VERSION_TABLE

#: How long a writer waits for others; each holds the lock for some milliseconds.
WAIT_SECONDS = 30
#: How long a server may take to answer.
CONNECT_SECONDS = 10


@contextlib.contextmanager
def writing(place: Place) -> Iterator[Connection]:
    """A transaction that writes: all of it is there once this is left, or nothing of it is.

    The database is made where there is none, and an older one of SQLite is migrated after a copy.

    Raises:
        HistoryError: It cannot be written, is of another program or of another schema.
    """
    with explained(place):
        if place.file is not None:
            place.file.parent.mkdir(parents=True, exist_ok=True)
        if _found(place) != HEAD:
            _bring_up(place)
        with _engine(place, write=True).begin() as connection:
            yield connection


@contextlib.contextmanager
def reading(place: Place) -> Iterator[Connection | None]:
    """A transaction that reads; None where no database is yet. An older file of SQLite is migrated first.

    Raises:
        HistoryError: It cannot be read, is of another program or of another schema.
    """
    with explained(place):
        found = _found(place)
        if found is None:
            yield None
            return
        if found != HEAD:
            _bring_up(place)
        with _engine(place, write=False).connect() as connection:
            yield connection


def migrate(place: Place) -> str | None:
    """Bring a database to this schema, an SQLite file after a copy; returns the revision that it had.

    Raises:
        HistoryError: It cannot be written, is of another program or of a newer schema.
    """
    with explained(place):
        found = _found(place)
        if found is not None and found != HEAD:
            _bring_up(place, asked=True)
        return found


def _found(place: Place) -> str | None:
    """The revision of a database that is there."""
    if place.file is not None:
        if not regular.exists(place.file):
            return None
        if not regular.is_file(place.file):
            raise HistoryError(f"{place} is no regular file", mend="name the file of a database")
    with _engine(place, write=False).connect() as connection:
        return revision(connection, place)


def _bring_up(place: Place, *, asked: bool = False) -> None:
    from edgeeff.history import migrating  # Alembic is not loaded where nothing is to be done

    migrating.bring_up(_engine(place, write=True), place, revision, wait=WAIT_SECONDS, asked=asked)


def revision(connection: Connection, place: Place) -> str | None:
    """The revision of a database of ours; None of an empty one.

    Raises:
        HistoryError: It is another program's.
    """
    if place.file is not None:
        own = connection.exec_driver_sql("PRAGMA application_id").scalar_one()
        if own not in (0, APPLICATION_ID):
            raise _foreign(place, f"its application_id is {own}")
    names = inspect(connection).get_table_names()
    if VERSION_TABLE in names:
        return connection.execute(
            select(named_column("version_num")).select_from(table(VERSION_TABLE))
        ).scalar()
    if names:
        raise _foreign(place, f"it has the table {sorted(names)[0]}, and none named {VERSION_TABLE}")
    return None


def _foreign(place: Place, why: str) -> HistoryError:
    return HistoryError(
        f"{place} is a database of another program: {why}", mend="name an empty or a new database"
    )


def _engine(place: Place, *, write: bool) -> Engine:
    """Without a pool: a verb opens one connection, and a process that forks shares none."""
    if place.file is not None:
        engine = create_engine("sqlite://", creator=lambda: _connect(place, write=write), poolclass=NullPool)
        # A transaction that reads first and then writes could not wait for another writer: it would fail.
        begin = "BEGIN IMMEDIATE" if write else "BEGIN"
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
        return engine
    limits: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS}
    engine = create_engine(place.url, poolclass=NullPool, connect_args=limits)
    event.listen(
        engine,
        "begin",
        lambda connection: connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{WAIT_SECONDS}s'"),
    )
    return engine


def _connect(place: Place, *, write: bool) -> sqlite3.Connection:
    assert place.file is not None
    uri = f"{place.file.as_uri()}?mode={'rwc' if write else 'rw'}"
    made = sqlite3.connect(uri, timeout=WAIT_SECONDS, isolation_level=None, uri=True)
    made.execute("PRAGMA foreign_keys = ON")
    if write:
        made.execute("PRAGMA synchronous = FULL")  # what was reported as stored survives a power cut too
    else:
        made.execute("PRAGMA query_only = ON")
    return made


@contextlib.contextmanager
def explained(place: Place) -> Iterator[None]:
    """Turn what a database refuses into an error that says why, without a password.

    Raises:
        HistoryError: Anything that a database, its driver or the disk raises.
    """
    try:
        yield
    except (failures.DBAPIError, failures.ArgumentError, sqlite3.Error) as error:
        what, mend = _reason(error, place)
        raise HistoryError(what, mend=mend) from None
    except UnicodeDecodeError:  # in what the library says of a damaged file
        raise HistoryError(f"{place} is damaged: texts in it are no UTF-8", mend=_WHOLE) from None
    except OSError as error:
        raise HistoryError(
            f"{place} cannot be written: {error.strerror or error}",
            mend="make its folder writable, or name another database with EDGEEFF_HISTORY",
        ) from None


_WHOLE = "take a copy of it (`sqlite3 FILE .recover` saves what is left), or name another file"
_REASONS = (
    ("database is locked", "is locked: another process has been writing for {wait} s", "try again later"),
    (
        "database table is locked",
        "is locked: another process has been writing for {wait} s",
        "try again later",
    ),
    (
        "readonly database",
        "is read-only",
        "make the file and its folder writable, or copy it to such a folder and name the copy",
    ),
    (
        "unable to open database",
        "cannot be opened: the file or its folder is not to be read or written",
        "check their permissions, or name another database with EDGEEFF_HISTORY",
    ),
    ("not a database", "is no database of SQLite, or an encrypted one", "name another file"),
    (
        "malformed",
        "is damaged",
        _WHOLE,
    ),
    ("disk is full", "could not be written: the disk is full", "free some space"),
    (
        "disk i/o error",
        "could not be read or written: the disk fails",
        "check the disk, or name another file",
    ),
    ("lock timeout", "is locked: another process has been writing for {wait} s", "try again later"),
    ("read-only transaction", "is read-only", "connect to the primary server, not to a standby"),
    ("permission denied", "refuses this user", "grant it the right to read, write and make tables"),
    ("password authentication failed", "refuses this user's password", "correct the URL, or PGPASSWORD"),
)


def _reason(error: Exception, place: Place) -> tuple[str, str]:
    """What a database's own message means, and what to do about it."""
    said = without_password(str(getattr(error, "orig", None) or error)).strip()
    for part, meaning, mend in _REASONS:
        if part in said.lower():
            return f"{place} {meaning.format(wait=WAIT_SECONDS)}", mend
    if place.file is None and isinstance(error, failures.OperationalError):
        first = " ".join(said.split())[:300]
        return (
            f"{place} cannot be reached: {first}",
            "check that the server runs and is reachable from here, and the URL of the database",
        )
    if isinstance(error, failures.ArgumentError):
        return f"{place} is no URL of a database", "write it as postgresql://user@host:5432/database"
    return f"{place}: {' '.join(said.split())[:300]}", "check the database, or name another one"

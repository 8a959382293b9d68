"""A database made, or brought from an older schema to this one; a newer one is refused.

An SQLite file is copied first. A server's database is not migrated until somebody asks for it: others may
still write to it with an older edgeeff, and a copy of it is the work of ``pg_dump``.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, text

from edgeeff.errors import HistoryError
from edgeeff.history.place import Place
from edgeeff.history.schema import APPLICATION_ID, HEAD

#: Of PostgreSQL's advisory lock: one process migrates at a time.
_LOCK = 0x65646765
_SCRIPTS = Path(__file__).parent / "migrations"

Asks = Callable[[Connection, Place], "str | None"]


def bring_up(engine: Engine, place: Place, revision: Asks, *, wait: float, asked: bool = False) -> str | None:
    """Make the tables of an empty database, or migrate those of an older one; returns what it was before.

    Args:
        engine: Whose transactions write.
        place: What it is called.
        revision: How the revision of a database is read.
        wait: Seconds that another process may take that makes or migrates the file.
        asked: Whether somebody asked for a migration.

    Raises:
        HistoryError: It is of a newer schema, or on a server and older, and nobody asked; or another process
            has been at it for ``wait`` seconds.
    """
    with _alone(place, wait):
        with engine.connect() as connection:
            found = revision(connection, place)
        if found is None and place.file is not None:
            _set_wal(engine)
        elif found is not None and found != HEAD:
            refuse_unknown(found, place)
            if place.file is not None:
                _copy(place.file, found)
            elif not asked:
                raise older(found, place)
        with engine.begin() as connection:
            if place.file is None:
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
            if revision(connection, place) != HEAD:  # another process may have been faster
                upgrade(connection, HEAD)
                if place.file is not None:
                    connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
        return found


@contextlib.contextmanager
def _alone(place: Place, wait: float) -> Iterator[None]:
    """One process at a time makes or migrates a file; a server has locks of its own."""
    if place.file is None:
        yield
        return
    lock = place.file.with_name(f"{place.file.name}.lock")
    lock.touch()  # where no file can be made this is an error; FileLock alone would try for ever
    try:
        held = FileLock(lock).acquire(timeout=wait)
    except Timeout:
        raise HistoryError(
            f"{place} is locked: another process has been making or migrating it for {wait:g} s",
            mend="try again later",
        ) from None
    with held:
        yield


def _set_wal(engine: Engine) -> None:
    """Let readers go on while somebody writes. The file keeps it; a file system without it stays as it was.

    SQLite does not wait by itself for this lock.
    """
    last = time.monotonic() + 10
    while True:
        with closing(engine.raw_connection()) as raw:
            try:
                raw.cursor().execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError:
                if time.monotonic() > last:
                    raise
        time.sleep(0.05)


def upgrade(connection: Connection, to: str) -> None:
    """Run the scripts up to a revision within a transaction."""
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def refuse_unknown(found: str, place: Place) -> None:
    """Refuse a revision that this version of edgeeff has no script for.

    Raises:
        HistoryError: There is none.
    """
    if found not in revisions():
        raise HistoryError(
            f"{place} has schema {found[:40]}, this version of edgeeff reads up to {HEAD}",
            mend="update edgeeff, or name another database",
        )


def revisions() -> list[str]:
    """Those that there are scripts for, the newest first."""
    return [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()]


def older(found: str, place: Place) -> HistoryError:
    """The error of a database that somebody has to migrate first."""
    copy = "" if place.file is not None else "make a copy with pg_dump, then "
    return HistoryError(
        f"{place} has the older schema {found}, this version of edgeeff writes {HEAD}",
        mend=f"{copy}run `edgeeff history migrate`; an older edgeeff cannot use it any more then",
    )


def _config() -> Config:
    made = Config()
    made.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    return made


def _copy(file: Path, found: str) -> None:
    """By SQLite's own backup: whole, whatever else writes meanwhile."""
    now = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    target = file.with_name(f"{file.name}.schema-{found}-{now}")
    with (
        closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(target)) as copy,
    ):
        source.backup(copy)

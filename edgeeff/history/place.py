"""Which database results go to, and whether they can. Nothing here loads a database's library."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote

import platformdirs

from edgeeff.errors import HistoryError, MissingRuntimeError, OptionError
from edgeeff.installing import install_line

VARIABLE = "EDGEEFF_HISTORY"
OFF = ("off", "none", "0", "no", "false")
#: Words that are meant as a switch, and would be a file of that name in the current folder.
_NO_FILE = ("on", "yes", "1", "true")
FILE = "history.sqlite"
_FORMS = "/path/to/history.sqlite, sqlite:////path/to/history.sqlite or postgresql://user@host/database"


@dataclass(frozen=True)
class Place:
    """A database.

    Args:
        url: As SQLAlchemy takes it; it may hold a password and is never printed.
        file: Of SQLite; None: a server's.
        chosen: Whether somebody named it; else it is the user's own in the state folder.
    """

    url: str
    file: Path | None
    chosen: bool

    def __str__(self) -> str:
        """As it is shown: without a password."""
        if self.file is not None:
            return str(self.file)
        return without_password(self.url).replace("postgresql+psycopg", "postgresql", 1)

    def __repr__(self) -> str:
        return f"Place({self})"

    @property
    def missing(self) -> tuple[str, ...]:
        """The modules that it needs and that are not installed."""
        needed = ["sqlalchemy", "alembic"] + ([] if self.file else ["psycopg"])
        return tuple(name for name in needed if find_spec(name) is None)

    @property
    def install(self) -> str:
        """The line that installs them."""
        return install_line("history" if self.file else "postgresql")


def default_file() -> Path:
    """``history.sqlite`` in the user's state folder (``XDG_STATE_HOME``)."""
    return Path(platformdirs.user_state_dir("edgeeff", appauthor=False)) / FILE


def named(text: str, source: str = VARIABLE) -> Place:
    """The database that somebody named.

    Args:
        text: A file, or an URL.
        source: Where it was said.

    Raises:
        OptionError: It is of a kind that the history does not work with.
    """
    kind, colon, rest = text.partition("://")
    if not colon:
        return _of_file(text, source)
    if kind == "sqlite":
        # SQLAlchemy's form: three slashes before a relative path, four before an absolute one.
        return _of_file(unquote(rest[1:]) if rest.startswith("/") else "", source)
    if kind in ("postgresql", "postgres", "postgresql+psycopg"):
        authority = rest.partition("/")[0]
        if authority.count("@") > 1 or not re.fullmatch(r"(.*@)?(\[[^\]]*\]|[^:]*)(:\d{1,5})?", authority):
            raise OptionError(
                f"{source} is no URL of a database: its user, password, host or port cannot be told apart",
                mend=f"write @, : and / in a password as %40, %3A and %2F; {_FORMS}",
            )
        return Place(f"postgresql+psycopg://{rest}", None, chosen=True)
    raise OptionError(
        f"{source} names a database of the kind {kind[:40]!r}: the history works with SQLite and PostgreSQL",
        mend=f"give {_FORMS}",
    )


def _of_file(text: str, source: str) -> Place:
    if not text or text == ":memory:" or text.startswith("file:") or "\0" in text or "?" in text:
        raise OptionError(f"{source} names no file of a database: {text!r}", mend=f"give {_FORMS}")
    return of_file(Path(os.path.expanduser(text)), chosen=True)  # noqa: PTH111  no error without a home


def of_file(path: Path, *, chosen: bool = False) -> Place:
    """An SQLite file."""
    return Place("sqlite://", Path(os.path.abspath(path)), chosen)  # noqa: PTH100  links stay as they are


def configured() -> Place | None:
    """What ``EDGEEFF_HISTORY`` says, else the user's own database; None: the history is switched off.

    Raises:
        OptionError: The variable names no database.
    """
    said = os.environ.get(VARIABLE, "").strip()
    if said.lower() in OFF:
        return None
    if said.lower() in _NO_FILE:
        raise OptionError(
            f"{VARIABLE}={said} names no database",
            mend=f"unset it for {default_file()}, or give {_FORMS}",
        )
    return named(said) if said else of_file(default_file())


def to_store() -> Place | None:
    """Where reports are stored; None: nowhere, as the history is off, or its extra is not installed.

    Raises:
        OptionError: ``EDGEEFF_HISTORY`` names no database.
        MissingRuntimeError: It names one, and what that needs is not installed.
    """
    place = configured()
    if place is None or not place.missing:
        return place
    if place.chosen:
        raise _not_installed(place)
    return None


def to_read(database: str | None) -> Place:
    """Where results are looked for.

    Args:
        database: What ``--database`` says.

    Raises:
        OptionError: It names no database.
        HistoryError: The history is switched off.
        MissingRuntimeError: What the database needs is not installed.
    """
    place = named(database, "--database") if database else configured()
    if place is None:
        raise HistoryError(
            f"the history is switched off: {VARIABLE}={os.environ[VARIABLE]}",
            mend="name a database with --database, or unset the variable",
        )
    if place.missing:
        raise _not_installed(place)
    return place


def _not_installed(place: Place) -> MissingRuntimeError:
    return MissingRuntimeError(
        f"the history in {place} needs {', '.join(place.missing)}, which is not installed",
        mend=f"install it: {place.install}",
    )


def without_password(text: str) -> str:
    """A text with the passwords of the URLs in it left out: ``user:***@host``, ``password=***``."""
    text = re.sub(r"(?<=://)([^/\s:]*):.*@(?=[^@\s]*(?:$|\s))", r"\1:***@", text)
    return re.sub(r"(?i)((?:ssl)?password=)[^&\s]*", r"\1***", text)

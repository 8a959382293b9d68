"""One measurement at a time on a machine: a lock that the system takes back from the dead, and who holds it.

Two measurements at once slow one another, and no statistics can tell that from a slower bundle.
"""

from __future__ import annotations

import getpass
import json
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from filelock import FileLock, Timeout

from edgeeff.errors import BusyError, OptionError, OutputError
from edgeeff.files import write_file

#: Names the lock's file: for machines that several users or containers measure on.
VARIABLE = "EDGEEFF_LOCK"
_LARGEST = 4096
#: Seconds that nobody waits.
_LONGEST = 1e9


@dataclass(frozen=True)
class Holder:
    """Who measures.

    Args:
        pid: Its process.
        user: Whose that is.
        since: When it began, UTC.
        command: Its command line.
    """

    pid: int
    user: str
    since: str
    command: str

    def __str__(self) -> str:
        return f"process {self.pid} of {self.user}, since {self.since}: {self.command}"


def path() -> Path:
    """The lock's file."""
    return Path(os.environ.get(VARIABLE) or Path(tempfile.gettempdir()) / "edgeeff-measuring.lock")


def holder(of: Path | None = None) -> Holder | None:
    """Who holds the lock, as he wrote it down; None where nobody does, or that cannot be read."""
    try:
        with _note(of or path()).open("rb") as file:
            data = json.loads(file.read(_LARGEST))
        return Holder(int(data["pid"]), *(str(data[name])[:500] for name in ("user", "since", "command")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextmanager
def alone(wait: float = 0.0, tell: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the lock of this machine.

    Args:
        wait: Seconds to wait for whoever holds it.
        tell: Called with who that is, before the waiting.

    Raises:
        BusyError: Somebody still holds it.
        OptionError: ``wait`` is no time.
        OutputError: Its file cannot be made or opened.
    """
    if not 0 <= wait < _LONGEST:
        raise OptionError(f"wait is {wait}", mend="give seconds, 0 for not at all")
    at = path()
    lock = FileLock(at, mode=0o666)  # other users take the same one
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if not os.path.lexists(at):  # somebody who held it would have made it
                raise OSError("no file can be made there") from None
            if wait <= 0:
                raise _busy(at, wait) from None
            if tell is not None:
                tell(f"waiting up to {wait:g} s for another measurement: {_who(at)}")
            try:
                lock.acquire(timeout=wait)
            except Timeout:
                raise _busy(at, wait) from None
    except OSError as error:
        raise OutputError(
            f"cannot open the lock {at}: {error.strerror or error}",
            mend=f"set {VARIABLE} to a file that every user who measures on this machine may write",
        ) from None
    try:
        with suppress(OSError):  # of one who died
            _note(at).unlink(missing_ok=True)
        with suppress(OutputError, OSError):  # a lock without its holder's name is a lock all the same
            write_file(_note(at), json.dumps(vars(_me())).encode())
        yield
    finally:
        with suppress(OSError):
            _note(at).unlink(missing_ok=True)
        lock.release()


def _note(at: Path) -> Path:
    return at.with_name(f"{at.name}.holder")


def _me() -> Holder:
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # no such user in a container
        user = f"user {os.getuid()}" if hasattr(os, "getuid") else "an unknown user"
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    command = shlex.join(["edgeeff" if a.endswith(("__main__.py", "/edgeeff")) else a for a in sys.argv])
    return Holder(os.getpid(), user, now, command[:500])


def _who(at: Path) -> str:
    found = holder(at)
    return str(found) if found is not None else "a process that left no name"


def _busy(at: Path, wait: float) -> BusyError:
    waited = f" after {wait:g} s" if wait > 0 else ""
    return BusyError(
        f"another measurement runs on this machine{waited}: {_who(at)}",
        mend=f"wait for it with --wait SECONDS; the lock is {at}",
    )

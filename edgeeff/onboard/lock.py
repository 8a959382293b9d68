"""One measurement at a time on a machine: the lock's file, who holds it, and taking it on a board.

``edgeeff.harness.lock`` takes the same lock on this machine, so that a measurement of its own and one that
somebody makes from elsewhere keep each other off. The system takes it back from the dead.
"""

from __future__ import annotations

import getpass
import json
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from edgeeff.onboard.refusal import Refused

#: Names the lock's file: for machines that several users or containers measure on.
VARIABLE = "EDGEEFF_LOCK"
_LARGEST = 4096
#: Seconds between two tries.
_PAUSE = 0.1


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
        with note(of or path()).open("rb") as file:
            data = json.loads(file.read(_LARGEST).decode("utf-8"))
        user, since, command = (str(data[name])[:500] for name in ("user", "since", "command"))
        return Holder(int(data["pid"]), user, since, command)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def who(at: Path) -> str:
    """The holder of the lock at a place, in words."""
    found = holder(at)
    return str(found) if found is not None else "a process that left no name"


def note(at: Path) -> Path:
    """Where the holder writes down who he is."""
    return at.with_name(f"{at.name}.holder")


def me(command: str) -> Holder:
    """This process as a holder."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # no such user in a container
        user = f"user {os.getuid()}" if hasattr(os, "getuid") else "an unknown user"
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Holder(os.getpid(), user, now, command[:500])


class Lock:
    """The lock of this board, held by this process."""

    def __init__(self) -> None:
        self._descriptor: int | None = None

    def take(self, wait: float, command: str, alive: Callable[[], None]) -> None:
        """Take it.

        Args:
            wait: Seconds to wait for whoever holds it.
            command: What the holder's note says is done.
            alive: Called between tries.

        Raises:
            Refused: Somebody still holds it, or its file cannot be opened.
        """
        at, deadline = path(), time.monotonic() + wait
        while self._descriptor is None:
            try:
                self._descriptor = _try(at)
            except OSError as error:
                raise Refused(
                    "OutputError",
                    f"the board's lock {at} cannot be opened: {error.strerror or error}",
                    f"set {VARIABLE} there to a file that every user who measures on it may write",
                ) from None
            if self._descriptor is None:
                if time.monotonic() >= deadline:
                    waited = f" after {wait:g} s" if wait > 0 else ""
                    raise Refused(
                        "BusyError",
                        f"another measurement runs on the board{waited}: {who(at)}",
                        f"wait for it with --wait SECONDS; the lock is {at} there",
                    )
                alive()
                time.sleep(_PAUSE)
        with suppress(OSError):
            text = json.dumps(vars(me(command)))
            unfinished = note(at).with_name(f".{note(at).name}-{os.getpid()}")
            unfinished.write_text(text, encoding="utf-8")
            unfinished.replace(note(at))

    def release(self) -> None:
        """Give it back; nothing where it is not held."""
        if self._descriptor is not None:
            with suppress(OSError):
                note(path()).unlink()
            os.close(self._descriptor)
            self._descriptor = None


def _try(at: Path) -> int | None:
    """A descriptor that holds the lock; None: somebody else has it, or its file was replaced meanwhile."""
    import fcntl  # not on Windows, from where boards are measured too

    flags = os.O_RDWR | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0)
    try:
        descriptor = os.open(str(at), flags | os.O_CREAT | os.O_EXCL, 0o666)
        with suppress(OSError):
            os.fchmod(descriptor, 0o666)  # other users take the same one
    except FileExistsError:
        try:
            descriptor = os.open(str(at), flags)
        except FileNotFoundError:
            return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise
    if os.fstat(descriptor).st_nlink == 0:
        os.close(descriptor)
        return None
    return descriptor

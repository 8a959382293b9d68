"""One measurement at a time on a machine: a lock that the system takes back from the dead, and who holds it.

Two measurements at once slow one another, and no statistics can tell that from a slower bundle.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from edgeeff.errors import BusyError, OptionError, OutputError
from edgeeff.files import write_file
from edgeeff.onboard.lock import VARIABLE as VARIABLE
from edgeeff.onboard.lock import Holder as Holder
from edgeeff.onboard.lock import holder as holder
from edgeeff.onboard.lock import me, note, who
from edgeeff.onboard.lock import path as path

#: Seconds that nobody waits.
_LONGEST = 1e9


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
                tell(f"waiting up to {wait:g} s for another measurement: {who(at)}")
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
            note(at).unlink(missing_ok=True)
        with suppress(OutputError, OSError):  # a lock without its holder's name is a lock all the same
            write_file(note(at), json.dumps(vars(_me())).encode())
        yield
    finally:
        with suppress(OSError):
            note(at).unlink(missing_ok=True)
        lock.release()


def _me() -> Holder:
    return me(shlex.join(["edgeeff" if a.endswith(("__main__.py", "/edgeeff")) else a for a in sys.argv]))


def _busy(at: Path, wait: float) -> BusyError:
    waited = f" after {wait:g} s" if wait > 0 else ""
    return BusyError(
        f"another measurement runs on this machine{waited}: {who(at)}",
        mend=f"wait for it with --wait SECONDS; the lock is {at}",
    )

"""Notes of the runs of this machine that hold something in a lab, so that a later run frees what is left.

A note is a file, locked by the run and by its keeper (:mod:`edgeeff.devices.lab.keeper`) as long as they
live: the kernel takes the locks of the dead away. Whoever can lock it alone frees what it names.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs

from edgeeff.devices.lab.client import Client, Identity

try:
    import fcntl
except ImportError:  # Windows, where labgrid does not run either
    fcntl = None  # type: ignore[assignment]

_LARGEST = 4096


def folder() -> Path:
    """Where notes lie."""
    return Path(platformdirs.user_state_dir("edgeeff", appauthor=False)) / "labgrid"


@contextmanager
def kept(client: Client) -> Iterator[Path | None]:
    """A note of a run; it is left to the keeper to remove it. None where no file can be made.

    The keeper frees the place without a note too, unless it is killed itself.
    """
    path = folder() / f"{client.identity.user}.json"
    said = {"program": client.program, "coordinator": client.coordinator, "machine": socket.gethostname()}
    said |= {"host": client.identity.host, "user": client.identity.user}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("x", encoding="utf-8")
    except OSError:
        yield None
        return
    with file:
        _lock(file.fileno(), alone=False)
        file.write(json.dumps(said))
        file.flush()
        yield path


def hold(path: Path) -> int | None:
    """Lock a note beside its run; the file's descriptor, which is kept open for that."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    _lock(descriptor, alone=False)
    return descriptor


@contextmanager
def left() -> Iterator[list[tuple[Path, Client]]]:
    """The notes of runs of this machine that have died with their keepers, locked meanwhile."""
    taken: list[int] = []
    found: list[tuple[Path, Client]] = []
    try:
        for path in sorted(folder().glob("*.json")) if folder().is_dir() else ():
            with suppress(OSError):
                descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                taken.append(descriptor)
                if _lock(descriptor, alone=True) and (client := _client(descriptor)) is not None:
                    found.append((path, client))
        yield found
    finally:
        for descriptor in taken:
            os.close(descriptor)


def _client(descriptor: int) -> Client | None:
    """Whom a note names; None where it is of another machine (a home that is shared), or torn."""
    try:
        said = json.loads(os.read(descriptor, _LARGEST))
        if said["machine"] != socket.gethostname():
            return None
        return Client(str(said["program"]), str(said["coordinator"]), Identity(said["host"], said["user"]))
    except (ValueError, KeyError, TypeError):
        return None


def _lock(descriptor: int, *, alone: bool) -> bool:
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)
    except OSError:
        return False
    return True

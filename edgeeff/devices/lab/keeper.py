"""A small process beside a run that holds a place of a lab: it frees the place when the run ends or dies.

labgrid keeps a place acquired when its client is killed, for ever. So the keeper is started before anything
is acquired, in a session of its own, and waits for the end of its standard input: that comes when the run
closes it, and when the run dies in whatever way. It needs to know nothing but the run's name in labgrid: it
frees all that is held under it.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from edgeeff.devices.lab import notes, places
from edgeeff.devices.lab.client import Client, Identity
from edgeeff.errors import EdgeeffError

#: Seconds between two looks at a run that closed nothing.
_LOOK = 1.0
#: Of a killed run a command may still be on its way: it is looked for again after so many seconds.
_AGAIN = 3.0
#: Seconds for which a coordinator that does not answer is tried again; then a later run frees the place.
_LONGEST = 600.0


def free(client: Client) -> list[str]:
    """Release every place and cancel every reservation of the client's name; the names of these places.

    Raises:
        DeviceError: The coordinator cannot be reached, or refuses.
    """
    name = str(client.identity)
    held = [place.name for place in places.places(client.run("-v", "places")) if place.holder == name]
    for turn in places.reservations(client.run("reservations")):
        if turn.owner == name:
            client.try_("cancel-reservation", turn.token)  # it may have ended by itself
    for place in held:
        client.run("-p", place, "release-from", name)
    return held


def free_one(client: Client, place: str | None, token: str | None) -> list[str]:
    """Release one place and cancel one reservation; the place's name if it was still held by the client.

    Raises:
        DeviceError: As for :func:`free`.
    """
    with ThreadPoolExecutor() as side_by_side:  # each takes a second or two
        cancelled = None if token is None else side_by_side.submit(client.try_, "cancel-reservation", token)
        released = None if place is None else side_by_side.submit(client.try_, "-p", place, "release")
    if cancelled is not None:
        cancelled.result()  # it may have ended by itself
    if place is None or released is None or released.result().returncode == 0:
        return [] if place is None else [place]
    # No other run has this name, so the place is free, gone, or another's: all but a refusal for no reason.
    return free(client)


def surely(client: Client, *, passes: int) -> list[str] | None:
    """Free everything until so many looks in a row found nothing more; None where that did not come to be."""
    deadline, empty, freed = time.monotonic() + _LONGEST, 0, list[str]()
    while time.monotonic() < deadline:
        try:
            found = free(client)
        except EdgeeffError:
            empty = 0
        else:
            freed += found
            empty = 0 if found else empty + 1
            if empty >= passes:
                return freed
        time.sleep(_AGAIN)
    return None


def _wait(parent: int) -> dict[str, Any] | None:
    """Until the run says that it is done (what it held), or is gone (None)."""
    said = b""
    while os.getppid() == parent:
        readable, _, _ = select.select([0], [], [], _LOOK)
        if readable:
            part = os.read(0, 4096)
            said += part
            if not part or b"\n" in said:
                break
    with suppress(ValueError):
        found = json.loads(said)
        return found if isinstance(found, dict) else None
    return None


class _EndedError(Exception):
    """Somebody ends this process: it frees the place first."""


def _end(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _EndedError


def main() -> int:
    """Keep, then free; 0 if everything is free."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("program", "coordinator", "host", "user"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--note", type=Path)
    parser.add_argument("--parent", type=int, required=True)
    asked = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    if asked.note is not None:
        notes.hold(asked.note)
    client = Client(asked.program, asked.coordinator, Identity(asked.host, asked.user))
    try:
        said = _wait(asked.parent)
    except _EndedError:
        said = None
    freed: list[str] | None
    try:
        freed = surely(client, passes=2) if said is None else free_one(client, said["place"], said["token"])
    except (EdgeeffError, KeyError):
        freed = surely(client, passes=1)
    if freed is None:
        return 1
    if asked.note is not None:
        asked.note.unlink(missing_ok=True)
    with suppress(OSError):  # of a dead run nobody reads
        sys.stdout.write(json.dumps(freed) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())

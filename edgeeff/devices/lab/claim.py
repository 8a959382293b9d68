"""A claim on one place of a lab: by name or by tags, when its turn comes; free again whatever happens.

What is claimed is never left to this process alone to release: see :mod:`edgeeff.devices.lab.keeper`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from edgeeff import errors
from edgeeff.devices.lab import keeper, notes, places
from edgeeff.devices.lab.client import COORDINATOR, PROGRAM, Client, reason
from edgeeff.devices.lab.places import Place, Resource
from edgeeff.errors import BusyError, DeviceError, EdgeeffError

Tell = Callable[[str], None]

#: Seconds for which the keeper may release what is held, before this process does it itself.
_RELEASE = 30.0
#: Places that an error names.
_SHOWN = 6
#: Keepers that are still at work for claims that are closed here: Python warns of a process that it forgets.
_BUSY: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class Wanted:
    """Which place.

    Args:
        name: Its name or alias; None: any place that has the tags.
        tags: Those that it must have.
        wait: Seconds to wait for a turn; 0: take it now or not at all.
    """

    name: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    wait: float = 0.0

    def __str__(self) -> str:
        return self.name or ", ".join(f"{key}={value}" for key, value in self.tags.items())


class Claim:
    """A place that this run holds, until :meth:`close`.

    Args:
        client: Who holds it.
        wanted: What is claimed.
        tell: Called with what is waited for.

    Raises:
        BusyError: Others hold it, and the time to wait is over.
        DeviceError: There is no such place, its exporter is gone, or the coordinator cannot be reached.
    """

    def __init__(self, client: Client, wanted: Wanted, tell: Tell | None = None) -> None:
        self.client = client
        #: The place's name, and its resources as they were when it was taken.
        self.place = ""
        self.resources: tuple[Resource, ...] = ()
        self._tell = tell or (lambda text: None)
        self._token: str | None = None
        self._held = ExitStack()
        _free_what_the_dead_left(self._tell)
        note = self._held.enter_context(notes.kept(client))
        self._keeper: subprocess.Popen[bytes] | None = _start_keeper(client, note)
        try:
            self._acquire(self._turn(wanted))
        except EdgeeffError:
            with suppress(EdgeeffError):
                self.close()
            raise
        except BaseException:  # a command may still be on its way: the keeper looks for what it took
            self._leave()
            raise

    def close(self) -> bool:
        """Release the place and end its reservation; True if it was this run's until now.

        It is not where a coordinator was started anew meanwhile, or somebody released it by force: then
        others may have used the board at the same time.

        Raises:
            DeviceError: It could not be released.
        """
        if (process := self._keeper) is None:
            return True
        self._keeper = None
        place, self.place = self.place, ""
        said = json.dumps({"place": place or None, "token": self._token}) + "\n"
        freed: list[str] | None = None
        try:
            out, _ = process.communicate(said.encode(), timeout=_RELEASE)
            freed = json.loads(out) if out.strip() else None
        except (OSError, ValueError, subprocess.TimeoutExpired):
            pass
        finally:
            self._let_go(process)
        if freed is None and place:
            if process.poll() is None:  # the coordinator does not answer; the keeper goes on trying
                raise DeviceError(
                    f"the place {place} could not be released within {_RELEASE:.0f} s: the labgrid "
                    f"coordinator {self.client.coordinator} does not answer",
                    mend=f"it is tried for ten minutes more; then `{COORDINATOR}={self.client.coordinator} "
                    f"{PROGRAM} -p {place} release-from {self.client.identity}`",
                )
            freed = keeper.free(self.client)  # somebody killed the keeper
        return not place or place in (freed or ())

    def still_held(self) -> bool:
        """Whether the coordinator says now that this run holds the place.

        Raises:
            DeviceError: It cannot be reached.
        """
        known = places.places(self.client.run("-v", "places"))
        return any(p.name == self.place and p.holder == str(self.client.identity) for p in known)

    def _leave(self) -> None:
        """Leave all to the keeper, and do not wait for it."""
        process, self._keeper = self._keeper, None
        if process is not None:
            self._let_go(process)

    def _let_go(self, process: subprocess.Popen[bytes]) -> None:
        """Close what binds the keeper to this process; it frees what is left by itself."""
        self._held.close()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        if process.poll() is None:
            _BUSY.append(process)

    def power_cycle(self) -> None:
        """Take the board's power away for some seconds.

        Raises:
            DeviceError: The place has no power port, or the port does not answer.
        """
        done = self.client.try_("-p", self.place, "power", "cycle", seconds=120.0)
        if "no compatible resource" in done.stderr:
            kinds = ", ".join(sorted({resource.kind for resource in self.resources})) or "nothing"
            raise DeviceError(
                f"the place {self.place} has no power port (it has {kinds})",
                mend="leave out the power cycle, or add the port to the exporter and a match to the place",
            )
        if done.returncode:
            raise DeviceError(
                f"the power of the place {self.place} could not be cycled: {reason(done.stderr)}",
                mend="see that the power port answers, or leave out the power cycle",
            )

    def _turn(self, wanted: Wanted) -> str:
        """The name of the place that may be acquired now; it is waited for.

        Raises:
            BusyError: As for the class.
            DeviceError: As for the class.
        """
        if wanted.name is None:
            return self._reserved(wanted, wanted.tags)
        (place,) = fitting(self.client, wanted)
        if place.holder is None and place.reservation is None:
            return place.name
        return self._reserved(wanted, {"name": place.name})  # a name is a tag too

    def _reserved(self, wanted: Wanted, tags: Mapping[str, str]) -> str:
        """The name of the place that a reservation got.

        Raises:
            BusyError: As for the class.
            DeviceError: As for the class.
        """
        printed = self.client.run("reserve", *(f"{key}={value}" for key, value in tags.items()))
        turn = next(iter(places.reservations(printed)), None)
        if turn is None:
            raise _unreadable(self.client, "reserve")
        self._token = turn.token
        if turn.state == "allocated" and turn.place:
            return turn.place
        others = fitting(self.client, wanted)  # without one it would be waited for for ever
        if wanted.wait > 0:
            self._tell(f"waiting up to {wanted.wait:g} s for {wanted}: {states(self.client, others)}")
            with suppress(DeviceError):  # its time is over
                self.client.try_("wait", turn.token, seconds=wanted.wait)
        turns = places.reservations(self.client.run("reservations"))
        turn = next((one for one in turns if one.token == self._token), turn)
        if turn.state == "allocated" and turn.place:
            return turn.place
        now = [p for p in places.places(self.client.run("-v", "places")) if p.has(tags)]
        raise BusyError(
            f"no place is free for {wanted}{f' after {wanted.wait:g} s' if wanted.wait else ''}: "
            f"{states(self.client, now)}",
            mend="wait for a turn with --wait SECONDS, or ask whoever holds one to release it",
        )

    def _acquire(self, name: str) -> None:
        done = self.client.try_("-p", name, "acquire")
        if done.returncode:
            raise self._refused(name, reason(done.stderr))
        self.place = name
        self.resources = tuple(places.resources(self.client.run("-p", name, "show")))

    def _refused(self, name: str, why: str) -> EdgeeffError:
        if "has no matching remote resource" in why or "Failed to acquire resources" in why:
            return DeviceError(
                f"the place {name} cannot be acquired: {why}",
                mend="start the labgrid-exporter of that board again, or see why it is gone; "
                f"`{PROGRAM} -p {name} show` lists what is there",
            )
        now = [p for p in places.places(self.client.run("-v", "places")) if p.name == name]
        if "already acquired" in why or "was not reserved for" in why:  # somebody was faster
            return BusyError(
                f"the place {name} was taken by somebody else: {states(self.client, now)}",
                mend="wait for a turn with --wait SECONDS, or ask whoever holds it to release it",
            )
        return DeviceError(
            f"the place {name} cannot be acquired: {why}", mend=f"look at it with `{PROGRAM} -p {name} show`"
        )


def states(client: Client, fitting: Sequence[Place]) -> str:
    """Who has these places, in words.

    Raises:
        DeviceError: The coordinator cannot be reached.
    """
    owners: dict[str, str] = {}
    if any(place.reservation for place in fitting):
        turns = places.reservations(client.run("reservations"))
        owners = {turn.token: turn.owner for turn in turns}
    said = [place.state(owners) for place in fitting[:_SHOWN]]
    more = [f"and {len(fitting) - _SHOWN} more"] if len(fitting) > _SHOWN else []
    return "; ".join([*said, *more]) or "none is there any more"


def fitting(client: Client, wanted: Wanted) -> list[Place]:
    """The places that are wanted, whoever has them.

    Raises:
        DeviceError: There is none, or the coordinator cannot be reached.
    """
    known = places.places(client.run("-v", "places"))
    if wanted.name is None:
        found = [place for place in known if place.has(wanted.tags)]
    else:
        found = [place] if (place := places.named(known, wanted.name)) else []
    if not found:
        raise _no_such(wanted, known, client.coordinator)
    return found


def _start_keeper(client: Client, note: Path | None) -> subprocess.Popen[bytes]:
    """The keeper, in a session of its own: what ends this process's group does not end it."""
    command = [sys.executable, "-m", keeper.__name__, f"--parent={os.getpid()}"]
    command += [f"--program={client.program}", f"--coordinator={client.coordinator}"]
    command += [f"--host={client.identity.host}", f"--user={client.identity.user}"]
    command += [] if note is None else [f"--note={note}"]
    return subprocess.Popen(
        command,
        # -m puts the working folder on the import path: it is ours, not the user's.
        cwd=Path(errors.__file__).parent.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _free_what_the_dead_left(tell: Tell) -> None:
    """Release what runs of this machine held when they and their keepers were killed."""
    with notes.left() as found:
        for note, client in found:
            try:
                freed = keeper.free(client)
            except EdgeeffError:
                continue  # another coordinator, which may be down: a later run tries again
            note.unlink(missing_ok=True)
            if freed:
                tell(f"released {', '.join(freed)}, which a run that was killed had kept ({client.identity})")


def _no_such(wanted: Wanted, known: Sequence[Place], coordinator: str) -> DeviceError:
    if not known:
        return DeviceError(
            f"the labgrid coordinator {coordinator} has no places",
            mend=f"create one: `{PROGRAM} -p NAME create`, then add-match and set-tags",
        )
    if wanted.name is not None:
        names = [name for place in known for name in (place.name, *place.aliases)]
        near = get_close_matches(wanted.name, names, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        more = " …" if len(names) > _SHOWN else ""
        return DeviceError(
            f"the labgrid coordinator {coordinator} has no place {wanted.name}",
            mend=f"{hint}its places are {', '.join(names[:_SHOWN])}{more}",
        )
    tags = sorted({f"{key}={value}" for place in known for key, value in place.tags.items()})
    return DeviceError(
        f"no place of the labgrid coordinator {coordinator} has {wanted}",
        mend=f"its tags are {', '.join(tags[: 3 * _SHOWN])}" if tags else "its places have no tags: name one",
    )


def _unreadable(client: Client, verb: str) -> DeviceError:
    return DeviceError(
        f"what `{PROGRAM} {verb}` prints is not understood (coordinator {client.coordinator})",
        mend="install a labgrid that edgeeff knows: 25.0 or 26.0, and tell us which one it was",
    )


def wait_until(answers: Callable[[], bool], seconds: float, pause: float = 2.0) -> bool:
    """Try until something answers, for so many seconds at most."""
    deadline = time.monotonic() + seconds
    while not answers():
        if time.monotonic() + pause > deadline:
            return False
        time.sleep(pause)
    return True

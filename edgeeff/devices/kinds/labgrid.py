"""Boards that a labgrid coordinator hands out, by the name of a place or by tags.

The place's NetworkService says where the board is; commands go there through our own OpenSSH, with the
user's configuration: labgrid's SSHDriver would switch the check of host keys off.
"""

from __future__ import annotations

import re
import subprocess
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from edgeeff.devices.file import BOOT
from edgeeff.devices.kinds import Settings, ssh
from edgeeff.devices.lab import client, places
from edgeeff.devices.lab.claim import Claim, Wanted, fitting, states, wait_until
from edgeeff.devices.lab.places import Resource
from edgeeff.errors import DeviceError, EdgeeffError, EdgeeffWarning

SUMMARY = "boards that a labgrid coordinator hands out, by name or by tags, when their turn comes"
ADDRESS = "labgrid:PLACE or labgrid:tag=value,…"

#: What may follow the place, ``?name=value&…``.
OPTIONS = ("coordinator", "power", "boot", "service")
# As labgrid has them, and nothing that its command line could take for an option or a reservation.
_PLACE = re.compile(r"[^\W_][^\s?&'\"]{0,99}")
_TAG = re.compile(r"([a-z][a-z0-9_]+)=([^\s=,?&'\"]{1,100})")
#: Seconds that one try to reach a board may take.
_TRY = 15.0


@dataclass(frozen=True)
class Address:
    """What an address says.

    Args:
        place: The place's name; None: by tags.
        tags: Those that it must have.
        coordinator: ``HOST:PORT``; None: as the devices file or ``LG_COORDINATOR`` says.
        power_cycle: Whether its power is taken away first.
        boot: Seconds that it may take to start then.
        service: Which NetworkService of its place, where there are several.
    """

    place: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    coordinator: str | None = None
    power_cycle: bool = False
    boot: float = BOOT
    service: str | None = None


def address(rest: str, settings: Settings) -> Address:
    """Read what follows ``labgrid:``; what it leaves out is taken from the devices file.

    Raises:
        DeviceError: It makes no sense.
    """
    what, _, query = rest.partition("?")
    said = _options(query)
    power = said.get("power")
    if power not in (None, "cycle", "keep"):
        raise DeviceError(f"power={power!r:.40} in labgrid:{what}", mend="write power=cycle or power=keep")
    boot = said.get("boot")
    if boot is not None and not re.fullmatch(r"[0-9]{1,5}", boot):
        raise DeviceError(
            f"boot={boot!r:.40} in labgrid:{what}", mend="write whole seconds, such as boot=120"
        )
    place, tags = (None, _tags(what)) if "=" in what else (_name(what), {})
    named = settings.named
    return Address(
        place=place,
        tags=tags,
        coordinator=said.get("coordinator") or (named.coordinator if named else None),
        power_cycle=bool(named and named.power_cycle) if power is None else power == "cycle",
        boot=float(boot) if boot is not None else named.boot if named else BOOT,
        service=said.get("service") or (named.service if named else None),
    )


def _options(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, strict_parsing=True, max_num_fields=20) if query else []
    except ValueError:
        raise DeviceError(
            f"{query!r:.80} are no options of a labgrid: address", mend="write ?name=value&name=value"
        ) from None
    for name, _ in pairs:
        if name not in OPTIONS or [other for other, _ in pairs].count(name) > 1:
            what = "stands there twice" if name in OPTIONS else "is no option of a labgrid: address"
            raise DeviceError(f"{name!r:.40} {what}", mend=f"the options are {', '.join(OPTIONS)}")
    return dict(pairs)


def _name(what: str) -> str:
    if not _PLACE.fullmatch(what):
        raise DeviceError(
            f"{what!r:.80} is no name of a place", mend=f"write {ADDRESS}; `labgrid-client places` lists them"
        )
    return what


def _tags(what: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in what.split(","):
        read = _TAG.fullmatch(pair)
        if read is None or read[1] in found:
            why = "is no tag of labgrid" if read is None else "has two values"
            raise DeviceError(
                f"{(pair if read is None else read[1])!r:.80} in labgrid:{what:.80} {why}",
                mend="write labgrid:tag=value,tag2=value2; a key is two or more of a-z, 0-9 and _",
            )
        found[read[1]] = read[2]
    return found


class Labgrid:
    """A board that this run holds: a :class:`edgeeff.devices.transport.Transport`.

    Args:
        claim: The place, held.
        resource: Its NetworkService.
        way: OpenSSH to it.
    """

    def __init__(self, claim: Claim, resource: Resource, way: ssh.Ssh) -> None:
        self.claim, self.resource, self._way = claim, resource, way

    def command(self, argv: Sequence[str]) -> list[str]:
        """The ``ssh`` that runs ``argv`` there."""
        return self._way.command(argv)

    def explain(self, returncode: int, stderr: str) -> EdgeeffError:
        """Why ssh failed, and of which place."""
        found = self._way.explain(returncode, stderr)
        extra = self.resource.parameters.get("extra") or {}
        hint = ""
        if extra.get("proxy_required"):
            hint = (
                f"; its exporter says that it is behind {extra.get('proxy')}: give its address that "
                "ProxyJump in your ~/.ssh/config"
            )
        return type(found)(f"place {self.claim.place}: {found.what}", mend=f"{found.mend}{hint}")

    def close(self) -> None:
        """Let go of the board, and release the place; a second call does nothing.

        What then went wrong is a warning: nothing that ran there is worth less for it, but for a place that
        was not held to the end.
        """
        self._way.close()
        place = self.claim.place
        try:
            if not self.claim.close():
                warnings.warn(lost(place), EdgeeffWarning, stacklevel=2)
        except EdgeeffError as error:
            warnings.warn(str(error), EdgeeffWarning, stacklevel=2)

    def doubts(self) -> list[str]:
        """What makes figures doubtful that were taken there: a place that others could use meanwhile."""
        try:
            return [] if self.claim.still_held() else [lost(self.claim.place)]
        except EdgeeffError as error:
            return [f"whether this run still holds the place {self.claim.place} is not known: {error.what}"]


def lost(place: str) -> str:
    """What is said where a place was not held to the end."""
    return (
        f"the place {place} was not held by this run until its end (its coordinator was started anew, or "
        "somebody released it): others may have used the board at the same time"
    )


def connect(rest: str, settings: Settings) -> Labgrid:
    """Claim a place, and reach its board.

    Raises:
        BusyError: Others hold it, and the time to wait is over.
        DeviceError: As for :class:`edgeeff.devices.lab.claim.Claim`, or its board cannot be reached.
        MissingRuntimeError: labgrid is not installed.
        OptionError: Nobody says where the coordinator is.
    """
    said = address(rest, settings)
    program = client.find(said.coordinator)
    claim = Claim(program, Wanted(said.place, said.tags, settings.wait), settings.tell)
    try:
        resource = _service(claim, said.service)
        way = ssh.connect(_address(claim.place, resource.parameters), settings)
        if said.power_cycle:
            if settings.tell is not None:
                settings.tell(f"power cycle of {claim.place}, which may take {said.boot:g} s to start")
            claim.power_cycle()
            _booted(claim.place, way, said.boot)
    except BaseException:
        claim.close()
        raise
    return Labgrid(claim, resource, way)


def glance(rest: str, settings: Settings) -> str:
    """Who has the place, or the places with the tags, without claiming one.

    Raises:
        DeviceError: There is no such place, its exporter is gone, or the coordinator cannot be reached.
        MissingRuntimeError: labgrid is not installed.
        OptionError: Nobody says where the coordinator is.
    """
    said = address(rest, settings)
    program = client.find(said.coordinator)
    found = fitting(program, Wanted(said.place, said.tags))
    if len(found) == 1 and found[0].holder is None:
        known = places.resources(program.run("-p", found[0].name, "show"))
        if not any(one.kind == "NetworkService" and one.available for one in known):
            raise DeviceError(
                f"the place {found[0].name} is free, but its exporter is gone: no NetworkService is there",
                mend=f"start the labgrid-exporter of that board; `labgrid-client -p {found[0].name} show`",
            )
    return states(program, found)


def _service(claim: Claim, name: str | None) -> Resource:
    """The one NetworkService of a place, or the one of that name."""
    kinds = ", ".join(sorted({resource.kind for resource in claim.resources})) or "nothing"
    known = [one for one in claim.resources if one.kind == "NetworkService" and one.acquired]
    fitting = [one for one in known if name in (None, one.name)]
    if not known:
        raise DeviceError(
            f"the place {claim.place} has no NetworkService, which says where its board is (it has {kinds})",
            mend="add NetworkService: {address: …, username: …} to the board's group of the exporter's file",
        )
    names = ", ".join(one.name for one in known)
    if len(fitting) != 1:
        what = f"has no NetworkService {name!r:.80}" if name else "has several NetworkServices"
        raise DeviceError(
            f"the place {claim.place} {what}", mend=f"add ?service=NAME to the address: {names}"
        )
    if not fitting[0].available:
        raise DeviceError(
            f"the exporter says that {fitting[0].path} of the place {claim.place} is not available",
            mend="see what the exporter of that board says",
        )
    return fitting[0]


def _address(place: str, parameters: Any) -> str:
    """What ``ssh:`` has after it, of a NetworkService.

    Raises:
        DeviceError: It is not complete.
    """
    host, user, port = (parameters.get(name) for name in ("address", "username", "port"))
    if not host or not isinstance(host, str):
        raise DeviceError(
            f"the NetworkService of the place {place} has no address", mend="add it to the exporter's file"
        )
    host = f"[{host}]" if ":" in host else host
    return f"//{f'{user}@' if user else ''}{host}{f':{port}' if port else ''}"


def _booted(place: str, way: ssh.Ssh, seconds: float) -> None:
    """Wait until a board answers again.

    Raises:
        DeviceError: It does not in time.
    """
    last = (255, "")

    def answers() -> bool:
        nonlocal last
        command = way.command(["true"])
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TRY, check=False
            )
        except subprocess.TimeoutExpired:
            last = (255, "Connection timed out")
            return False
        last = (done.returncode, done.stderr.decode(errors="replace"))
        return done.returncode == 0

    if not wait_until(answers, seconds):
        found = way.explain(*last)
        raise DeviceError(
            f"the board of {place} does not answer {seconds:g} s after its power cycle: {found.what}",
            mend=f"give it more time with boot in devices.toml; {found.mend}",
        )

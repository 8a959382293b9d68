"""What ``labgrid-client`` prints of places, reservations and resources, read.

It has no output for programs; what it prints of a resource is a Python literal (``show``), of a place a few
lines of ``key: value`` (``-v places``).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_HEAD = re.compile(r"^(?:Place|Reservation) '(.*)':$")
_RESOURCE = re.compile(r"^(Acquired|Matching) resource '(.*)' \((.*)\):$")


@dataclass(frozen=True)
class Place:
    """A place, as the coordinator knows it.

    Args:
        name: Its name.
        aliases: Its other names.
        tags: By their keys.
        holder: ``HOST/USER`` of whoever acquired it.
        changed: When that was, local time of this machine; also when somebody last changed it.
        reservation: Token of the reservation that it is kept for.
    """

    name: str
    aliases: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    holder: str | None = None
    changed: str = ""
    reservation: str | None = None

    def has(self, tags: Mapping[str, str]) -> bool:
        """Whether it has all of them; its name counts as the tag ``name``."""
        own = {**self.tags, "name": self.name}
        return all(own.get(key) == value for key, value in tags.items())

    def state(self, owners: Mapping[str, str]) -> str:
        """Who has it, in words.

        Args:
            owners: Of reservations, by their tokens.
        """
        if self.holder is not None:
            return f"{self.name} is held by {self.holder} since {self.changed}"
        if self.reservation is not None:
            return f"{self.name} is reserved for {owners.get(self.reservation, 'somebody')}"
        return f"{self.name} is free"


@dataclass(frozen=True)
class Reservation:
    """A turn in the coordinator's queue.

    Args:
        token: Its name.
        owner: ``HOST/USER``.
        state: ``waiting``, ``allocated``, ``acquired``, ``expired`` or ``invalid``.
        place: What was allocated to it.
    """

    token: str
    owner: str
    state: str
    place: str | None


@dataclass(frozen=True)
class Resource:
    """Something that an exporter offers of a board.

    Args:
        name: As the place calls it.
        path: ``EXPORTER/GROUP/CLASS/NAME``.
        kind: Its class, such as ``NetworkService``.
        available: Whether the exporter can reach it.
        parameters: Address, user and the like.
        acquired: Whether this place has acquired it.
    """

    name: str
    path: str
    kind: str
    available: bool
    parameters: Mapping[str, Any]
    acquired: bool


def places(printed: str) -> list[Place]:
    """Of ``labgrid-client -v places``."""
    found = []
    for name, said in _blocks(printed):
        tags = (pair.partition("=") for pair in said.get("tags", "").split(", ") if pair)
        holder = said.get("acquired")
        found.append(
            Place(
                name=name,
                aliases=tuple(said["aliases"].split(", ")) if said.get("aliases") else (),
                tags={key: value for key, _, value in tags},
                holder=None if holder in (None, "", "None") else holder,
                changed=said.get("changed", "").partition(".")[0],
                reservation=said.get("reservation") or None,
            )
        )
    return found


def reservations(printed: str) -> list[Reservation]:
    """Of ``labgrid-client reservations`` and ``reserve``."""
    return [
        Reservation(token, said.get("owner", ""), said.get("state", ""), said.get("main"))
        for token, said in _blocks(printed, nested="allocations")
    ]


def resources(printed: str) -> list[Resource]:
    """Of ``labgrid-client -p PLACE show``; one that cannot be read is left out."""
    found, lines = [], printed.splitlines()
    for number, line in enumerate(lines):
        if (head := _RESOURCE.match(line)) is None:
            continue
        body = []
        for below in lines[number + 1 :]:
            if not below.startswith(" "):
                break
            body.append(below)
        try:
            said = ast.literal_eval("\n".join(body).strip())
            kind, parameters = str(said["cls"]), dict(said["params"])
        except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError):
            continue
        found.append(
            Resource(head[2], head[3], kind, bool(said.get("avail")), parameters, head[1] == "Acquired")
        )
    return found


def _blocks(printed: str, nested: str | None = None) -> list[tuple[str, dict[str, str]]]:
    """Heads, and the lines ``key: value`` below each; of a deeper level those below ``nested`` alone."""
    found: list[tuple[str, dict[str, str]]] = []
    above = ""
    for line in printed.splitlines():
        if head := _HEAD.match(line):
            found.append((head[1], {}))
            continue
        if not found or not line.startswith("  "):
            continue
        key, colon, value = line.strip().partition(":")
        if not line.startswith("    "):
            above = key
        elif above != nested:
            continue
        if colon:
            found[-1][1].setdefault(key, value.strip())
    return found


def named(known: Sequence[Place], name: str) -> Place | None:
    """The place of that very name or alias: labgrid itself takes a part of a name too."""
    exact = [place for place in known if place.name == name] or [p for p in known if name in p.aliases]
    return exact[0] if len(exact) == 1 else None

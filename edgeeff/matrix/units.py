"""The units of work: plain frozen data, known by the digest of all that decides their result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from edgeeff import digests

#: Raised when the same facts give another result.
VERSION = 1
Kind = Literal["build", "shard", "eval", "bench"]


@dataclass(frozen=True)
class Unit:
    """One unit of work.

    Args:
        kind: ``build`` makes a bundle; ``shard`` judges it on a part of the images, ``eval`` on all of them
            or makes one of the shards; ``bench`` times it.
        model: The model's name.
        target: The target's name.
        device: Where it is measured; empty: wherever it is computed.
        facts: All that decides its result, as plain data: digests instead of paths.
        payload: What it takes to do it, as plain data: paths, and how work is divided.
        needs: Keys of the results that it reads, by what they are to it: ``bundle``, ``reference``.
        parts: Keys of its shards, in order. They decide nothing: one process gives the same.
        after: The key of a unit that is better over before this one begins: it fills the cache.
    """

    kind: Kind
    model: str
    target: str
    device: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict, hash=False)
    payload: Mapping[str, Any] = field(default_factory=dict, hash=False)
    needs: Mapping[str, str] = field(default_factory=dict, hash=False)
    parts: tuple[str, ...] = ()
    after: str | None = None

    @cached_property
    def key(self) -> str:
        """SHA-256 of all that decides its result, and so what that lies under."""
        said = {"version": VERSION, "kind": self.kind, "facts": self.facts, "needs": dict(self.needs)}
        return digests.of_json(said)

    @property
    def name(self) -> str:
        """What it is called: ``lite0/cpu-int8/bench@ssh://pi#2``."""
        where = f"@{self.device}" if self.device else ""
        number = self.payload.get("number")
        return f"{self.model}/{self.target}/{self.kind}{where}" + ("" if number is None else f"#{number}")

    def job(self) -> dict[str, Any]:
        """As plain data, for a process that does it."""
        return {
            "key": self.key,
            "kind": self.kind,
            "name": self.name,
            "facts": dict(self.facts),
            "payload": dict(self.payload),
            "needs": dict(self.needs),
            "parts": list(self.parts),
        }


@dataclass(frozen=True)
class Outcome:
    """What became of a unit.

    Args:
        key: The unit's.
        status: ``made`` now, ``there`` already, or ``failed``.
        what: What was wrong, if it failed.
        mend: What can be done about it.
        kind: Of the error.
        warnings: What was warned of when it was made.
        seconds: How long it took; 0 if it was there.
        where: The machine and process that made it.
    """

    key: str
    status: Literal["made", "there", "failed"]
    what: str = ""
    mend: str = ""
    kind: str = ""
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    where: str = ""

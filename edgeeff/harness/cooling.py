"""Waiting before a measurement until the machine is cool: figures of a hot one are those of a slow one."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from typing import Any

from edgeeff.errors import OptionError

#: Zones may read their sensors once a second, and firmware polls them as rarely as every two.
_PAUSE = 2.0
#: What a processor may be asked to cool down to, °C: below it no room is, above it none computes.
_LEAST, _MOST = 10.0, 120.0
#: The longest time that may be waited, seconds.
_LONGEST = 86400.0

Temperatures = Callable[[], Mapping[str, float]]


def degrees(text: str) -> float:
    """What ``50C`` means, °C; ``50`` and ``50 °C`` mean the same.

    Raises:
        ValueError: It is no temperature that a processor can have.
    """
    found = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,3})?)\s*(?:°?\s*[Cc])?", text.strip())
    value = float(found[1]) if found else math.nan
    if not _LEAST <= value <= _MOST:
        raise ValueError(f"{text!r:.40} is no temperature from {_LEAST:g}C to {_MOST:g}C")
    return value


@dataclass(frozen=True)
class Cooling:
    """What is waited for before each launch.

    Args:
        to: Degrees Celsius that the hottest zone must be below.
        limit: Seconds that one wait may take; then it is measured all the same, and said.
    """

    to: float
    limit: float = 300.0

    @classmethod
    def of(cls, to: str | None, limit: float | None = None) -> Cooling | None:
        """What ``--cool`` and ``--cool-limit`` say; None: nothing is waited for.

        Raises:
            OptionError: One makes no sense, or there is a limit alone.
        """
        if to is None:
            if limit is not None:
                raise OptionError("--cool-limit without --cool", mend="add --cool 50C, or leave it out")
            return None
        try:
            wanted = degrees(to)
        except ValueError as error:
            raise OptionError(f"--cool: {error}", mend="give degrees Celsius, such as 50C") from None
        if limit is None:
            return cls(wanted)
        if not 0 < limit <= _LONGEST:
            raise OptionError(f"--cool-limit {limit:g}", mend="give seconds, such as 300")
        return cls(wanted, limit)


@dataclass(frozen=True)
class Cooled:
    """One wait.

    Args:
        to: Degrees that were waited for.
        zone: The hottest zone at its end; None: nothing tells a temperature.
        before: Of the hottest zone as it began, °C.
        after: As it ended.
        waited: Seconds.
    """

    to: float
    zone: str | None
    before: float | None
    after: float | None
    waited: float

    @property
    def reached(self) -> bool:
        """Whether it was cool enough at the end."""
        return self.after is not None and self.after < self.to

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self) | {"reached": self.reached}


def wait(
    cooling: Cooling,
    temperatures: Temperatures,
    *,
    tell: Callable[[str], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Cooled:
    """Wait until the hottest zone is cool enough, or the limit is over.

    Args:
        cooling: What is waited for.
        temperatures: Reads them, °C by zone; of a board over its connection.
        tell: Called once, where there is something to wait for.
        clock: Seconds.
        sleep: Waits.
    """
    begin, found = clock(), temperatures()
    if not found:
        return Cooled(cooling.to, None, None, None, 0.0)
    first = max(found.values())
    if first >= cooling.to and tell is not None:
        zone = max(found, key=lambda name: found[name])
        tell(f"cooling from {first:.0f} °C ({zone}) to {cooling.to:g} °C, {cooling.limit:g} s at most")
    while found and max(found.values()) >= cooling.to and clock() - begin < cooling.limit:
        sleep(min(_PAUSE, max(0.0, cooling.limit - (clock() - begin))))
        found = temperatures() or found
    hottest = max(found, key=lambda name: found[name])
    return Cooled(cooling.to, hottest, first, found[hottest], clock() - begin)


@dataclass
class _Waiting:
    """What is waited for before each launch from now on, and the waits so far."""

    cooling: Cooling
    tell: Callable[[str], None] | None
    taken: list[Cooled] = field(default_factory=list)


_WAITING: ContextVar[_Waiting | None] = ContextVar("waiting", default=None)


@contextmanager
def before_launches(cooling: Cooling | None, tell: Callable[[str], None] | None = None) -> Iterator[None]:
    """Within it, each launch waits until the machine or the board that it runs on is cool.

    Args:
        cooling: What is waited for; None: nothing.
        tell: Called where there is something to wait for.
    """
    token = _WAITING.set(None if cooling is None else _Waiting(cooling, tell))
    try:
        yield
    finally:
        _WAITING.reset(token)


def waits() -> bool:
    """Whether launches wait."""
    return _WAITING.get() is not None


def mark() -> int:
    """Where a report begins, for :func:`since`."""
    return len(waiting.taken) if (waiting := _WAITING.get()) else 0


def since(begun: int) -> tuple[Cooled, ...]:
    """The waits after a :func:`mark`; none where nothing is waited for."""
    return tuple(waiting.taken[begun:]) if (waiting := _WAITING.get()) else ()


def before_launch(temperatures: Temperatures) -> None:
    """A launch is about to start: wait, where that was asked for.

    Args:
        temperatures: Reads those of where it runs.
    """
    if (waiting := _WAITING.get()) is not None:
        waiting.taken.append(wait(waiting.cooling, temperatures, tell=waiting.tell))


def doubts(waits: Sequence[Cooled]) -> list[str]:
    """What is to be said of waits that did not do what they were for, a sentence each."""
    if not waits:
        return []
    if any(one.zone is None for one in waits):
        return [
            f"--cool {waits[0].to:g}C: no thermal zone or sensor of the processor can be read there, so "
            "nothing was waited for, and whether it was cool is not known"
        ]
    late = [one for one in waits if not one.reached]
    if not late:
        return []
    worst = max(late, key=lambda one: one.after or 0.0)
    return [
        f"{len(late)} of {len(waits)} launches began hotter than --cool {worst.to:g}C: {worst.zone} was "
        f"still at {worst.after:.1f} °C after {worst.waited:.0f} s; cool it, or raise --cool-limit"
    ]

"""The kinds of devices, found by their name: a file here, or a module that an entry point names.

A device's address begins with its kind: ``ssh://pi@10.0.0.7``, ``labgrid:orin1``. A kind reads what follows
and gives a :class:`edgeeff.devices.transport.Transport`; push, store, frames and heartbeats are common to
all. Other distributions add kinds through entry points of the group ``edgeeff.devices``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

from edgeeff.devices.file import Named
from edgeeff.devices.transport import Transport
from edgeeff.errors import DeviceError
from edgeeff.plugins import Finder


@dataclass(frozen=True)
class Settings:
    """What is known of a device beside its address.

    Args:
        named: What a devices file says of it; None: it was given by its address alone.
        wait: Seconds to wait for a board that others hold; 0: not at all.
        tell: Called with what is waited for.
    """

    named: Named | None = None
    wait: float = 0.0
    tell: Callable[[str], None] | None = None

    @property
    def python(self) -> str:
        """The command that starts Python there."""
        return self.named.python if self.named else "python3"


class Kind(Protocol):
    """A kind's module.

    ``SUMMARY`` is one line of what it reaches; ``ADDRESS`` how an address of it is written. ``connect`` takes
    what follows the address's first colon, and raises a ``DeviceError`` where it makes no sense.
    """

    SUMMARY: str
    ADDRESS: str
    connect: Callable[[str, Settings], Transport]


def _kind(module: Any, name: str) -> Kind:
    absent = [fact for fact in Kind.__annotations__ if not hasattr(module, fact)]
    if absent:
        raise ValueError(f"{module.__name__} has no {' and no '.join(absent)}")
    return cast(Kind, module)


#: Where kinds are found.
KINDS = Finder("devices", __name__, _kind)


def kind(name: str) -> Kind:
    """The kind of that name.

    Raises:
        DeviceError: There is none.
        PluginError: It is a plug-in's, and cannot be used.
    """
    try:
        return KINDS.get(name)
    except KeyError:
        known = ", ".join(KINDS.get(usable).ADDRESS for usable in KINDS.usable())
        raise DeviceError(
            f"no kind of device is called {name[:40]!r}",
            mend=f"an address is written as one of: {known}, local",
        ) from None

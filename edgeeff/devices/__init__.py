"""Where bundles run: boards that an address names, each kind of address a file of ``kinds/``."""

from __future__ import annotations

import re

from edgeeff.device import Device
from edgeeff.devices.connection import connect
from edgeeff.devices.kinds import Settings, kind
from edgeeff.devices.transport import Transport
from edgeeff.errors import DeviceError

#: This machine, as an address.
LOCAL = "local"
_LONGEST = 500
_KIND = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}")


def open_device(address: str, settings: Settings | None = None) -> Device | None:
    """The board that an address names, with an agent started there; None: it is this machine.

    Args:
        address: ``local``, or ``<kind>:<what this kind reads>``.
        settings: What a devices file says of it.

    Raises:
        DeviceError: The address makes no sense, the board cannot be reached, or has no Python that serves.
        PluginError: Its kind is a plug-in's that cannot be used.
    """
    transport = open_transport(address, settings)
    return None if transport is None else connect(address, transport, (settings or Settings()).python)


def open_transport(address: str, settings: Settings | None = None) -> Transport | None:
    """The way to the board that an address names; None: it is this machine.

    Args:
        address: ``local``, or ``<kind>:<what this kind reads>``.
        settings: What a devices file says of it.

    Raises:
        DeviceError: The address makes no sense, or the board cannot be reached.
        PluginError: Its kind is a plug-in's that cannot be used.
    """
    if address == LOCAL:
        return None
    name, rest = split(address)
    return kind(name).connect(rest, settings or Settings())


def split(address: str) -> tuple[str, str]:
    """An address's kind, and what follows its first colon.

    Raises:
        DeviceError: It has no kind, or holds what no address holds: it came from a file or another program.
    """
    if len(address) > _LONGEST:
        raise DeviceError(
            f"an address of {len(address)} characters: {address[:40]!r}…",
            mend="a device's address is as short as ssh://pi@10.0.0.7",
        )
    if not address.isprintable() or " " in address:
        raise DeviceError(
            f"the address {address!r} holds a space or a character that cannot be seen",
            mend="write it without: ssh://pi@10.0.0.7",
        )
    name, colon, rest = address.partition(":")
    if not colon or not rest or not _KIND.fullmatch(name):
        raise DeviceError(
            f"no device is called {address!r}",
            mend=f"pass {LOCAL}, or an address such as ssh://pi@10.0.0.7",
        )
    return name, rest

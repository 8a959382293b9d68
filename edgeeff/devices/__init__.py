"""Where bundles run: boards that an address names, each kind of address a file of ``kinds/``."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from edgeeff.devices import file
from edgeeff.devices.connection import Connection, connect
from edgeeff.devices.kinds import Settings, kind
from edgeeff.devices.transport import Transport
from edgeeff.errors import DeviceError

#: This machine, as an address.
LOCAL = "local"
_LONGEST = 500
_KIND = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}")


def open_device(
    name: str,
    devices_file: Path | None = None,
    *,
    wait: float = 0.0,
    tell: Callable[[str], None] | None = None,
) -> Connection | None:
    """The board that an address or a name of a devices file means, with an agent started there.

    Args:
        name: ``local``, an address as of :func:`open_transport`, or a name.
        devices_file: The file; None: the one that holds here, see :func:`edgeeff.devices.file.place`.
        wait: Seconds to wait for a board that others hold; 0: not at all.
        tell: Called with what is waited for.

    Returns:
        None: it is this machine.

    Raises:
        DeviceError: There is no such board, it cannot be reached, or it has no Python that serves.
        BusyError: Somebody else has it.
        MissingFileError: There is no such file.
        PluginError: Its kind is a plug-in's that cannot be used.
    """
    address, named = name, None
    if name != LOCAL and ":" not in name:
        _refuse_unreadable(name)
        named = file.look_up(name, devices_file)
        address = named.address
    settings = Settings(named, wait, tell)
    transport = open_transport(address, settings)
    return None if transport is None else connect(name, transport, settings.python)


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


def refuse_malformed(address: str) -> None:
    """Refuse an address that no board could have, without a look at any.

    Raises:
        DeviceError: Its kind is not known, or says that it is none of its addresses (``check``).
        PluginError: Its kind is a plug-in's that cannot be used.
    """
    name, rest = split(address)
    check = getattr(kind(name), "check", None)
    if check is not None:
        check(rest)


def split(address: str) -> tuple[str, str]:
    """An address's kind, and what follows its first colon.

    Raises:
        DeviceError: It has no kind, or holds what no address holds: it came from a file or another program.
    """
    _refuse_unreadable(address)
    name, colon, rest = address.partition(":")
    if not colon or not rest or not _KIND.fullmatch(name):
        raise DeviceError(
            f"no device is called {address!r}",
            mend=f"pass {LOCAL}, or an address such as ssh://pi@10.0.0.7",
        )
    return name, rest


def _refuse_unreadable(address: str) -> None:
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

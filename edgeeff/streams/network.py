"""Addresses in a network: whether one can be right, and whether somebody answers there."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from edgeeff.errors import StreamError
from edgeeff.streams.naming import shown


def parts(address: str, ports: Mapping[str, int]) -> tuple[SplitResult, str, int]:
    """An address's parts, its host and its port.

    Args:
        address: With its scheme.
        ports: The port of each scheme.

    Raises:
        StreamError: It names no host, or a port that there cannot be.
    """
    try:
        found = urlsplit(address)
        host, port = found.hostname, found.port or ports[found.scheme.lower()]
    except ValueError:
        host = port = None
    if not host or not port or any(c.isspace() or not c.isprintable() for c in address):
        raise StreamError(
            f"{shown(address)!r} is no address that can be connected to",
            mend=f"write it as {next(iter(ports))}://HOST:PORT/PATH, spaces as %20",
        )
    return found, host, port


def refuse_unreachable(name: str, host: str, port: int, patience: float | None) -> None:
    """Connect once and hang up: what libraries say of a failure is too little to act on.

    Raises:
        StreamError: There is no such host, or nobody answers there.
    """
    try:
        socket.create_connection((host, port), timeout=patience).close()
    except (OSError, UnicodeError) as error:
        raise unreachable(name, host, port, error) from None


def unreachable(name: str, host: str, port: int, error: Exception) -> StreamError:
    """What an error of a connection means."""
    if isinstance(error, socket.gaierror | UnicodeError):
        return StreamError(f"{name}: no host is called {host}", mend="check the name, and the network's DNS")
    if isinstance(error, ConnectionRefusedError):
        return StreamError(
            f"{name}: {host} refuses connections to port {port}",
            mend="is the server running there, and on this port?",
        )
    if isinstance(error, TimeoutError):
        return StreamError(
            f"{name}: {host} does not answer on port {port}",
            mend="check that it is switched on and reachable (ping), or wait longer with --timeout",
        )
    why = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return StreamError(f"{name}: no connection to {host}:{port}: {why}", mend="check the network")

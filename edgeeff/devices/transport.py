"""How commands reach a board: all that a kind of device has to bring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from edgeeff.errors import EdgeeffError


class Transport(Protocol):
    """A way to run POSIX commands on a board. What runs over it is the same for all kinds."""

    def command(self, argv: Sequence[str]) -> list[str]:
        """The local command line that runs ``argv`` there, its standard streams piped through.

        The exit status is that of the command there, where it came to run.
        """
        ...

    def explain(self, returncode: int, stderr: str) -> EdgeeffError:
        """Why a command of :meth:`command` failed, and what to do.

        Args:
            returncode: Its exit status, negative where a signal ended it.
            stderr: What it printed last.
        """
        ...

    def close(self) -> None:
        """Let go of the board; a second call does nothing."""
        ...


def timeless(transport: Transport) -> str | None:
    """Why times taken over a transport are no measurement, where its ``timeless`` says so."""
    said = getattr(transport, "timeless", None)
    return said if isinstance(said, str) else None

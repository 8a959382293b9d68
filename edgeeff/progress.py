"""How long work tells what it is doing, without knowing who listens."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told what is going on. Calls come from one thread."""

    def stage(self, text: str, total: int | None = None) -> None:
        """A new stage begins; with ``total`` it can be counted."""

    def advance(self, count: int = 1) -> None:
        """So many more of the stage's total are done."""

    def warn(self, text: str) -> None:
        """Something the user must not miss."""


class Silent:
    """Nobody listens."""

    def stage(self, text: str, total: int | None = None) -> None:
        """Forget it."""

    def advance(self, count: int = 1) -> None:
        """Forget it."""

    def warn(self, text: str) -> None:
        """Forget it."""

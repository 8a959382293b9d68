"""How long work tells what it is doing, without knowing who listens."""

from __future__ import annotations

from typing import Literal, Protocol

Unit = Literal["images", "bytes", "steps"]


class Progress(Protocol):
    """Told what is going on. Calls come from one thread."""

    def stage(self, text: str, total: int | None = None, unit: Unit = "images") -> None:
        """A new stage begins; with ``total`` it can be counted, in ``unit``."""

    def advance(self, count: int = 1) -> None:
        """So many more of the stage's total are done."""

    def tell(self, text: str) -> None:
        """Something that was decided, and that the user should see."""

    def warn(self, text: str) -> None:
        """Something the user must not miss."""


class Silent:
    """Nobody listens."""

    def stage(self, text: str, total: int | None = None, unit: Unit = "images") -> None:
        """Forget it."""

    def advance(self, count: int = 1) -> None:
        """Forget it."""

    def tell(self, text: str) -> None:
        """Forget it."""

    def warn(self, text: str) -> None:
        """Forget it."""

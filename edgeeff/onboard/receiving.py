"""A bundle that comes to a board: written beside the others, checked, and moved in whole."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from edgeeff.onboard.refusal import Refused
from edgeeff.onboard.seals import whole


class Keeper(Protocol):
    """The store that it becomes a part of: see :class:`edgeeff.onboard.store.Store`."""

    def refusal(self, error: OSError, size: int | None = None) -> Refused:
        """Why it cannot be written."""

    def take_in(self, staged: Path, digest: str) -> None:
        """Rename a whole bundle to its place."""


class Incoming:
    """A bundle that is being received.

    Args:
        folder: Where it is written.
        digest: Of its manifest.
        store: Of which it becomes a part.
    """

    def __init__(self, folder: Path, digest: str, store: Keeper) -> None:
        self._folder, self._digest, self._store = folder, digest, store
        self._file: Any = None
        self._names: set[str] = set()
        folder.mkdir()

    def file(self, name: str) -> None:
        """Begin a file.

        Raises:
            Refused: Its name leads elsewhere, or the disk is full or cannot be written.
        """
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\0" in name or not path.parts or name in self._names:
            raise Refused("BundleError", f"the bundle names a file {name!r:.200}", "do not use it")
        self._names.add(name)
        try:
            self._end()
            place = self._folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            self._file = place.open("xb", buffering=0)
        except OSError as error:
            raise self._store.refusal(error) from None

    def data(self, content: Any) -> None:
        """Some bytes of it.

        Raises:
            Refused: The disk is full or cannot be written.
        """
        try:
            view = memoryview(content)
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise self._store.refusal(error) from None

    def finish(self) -> None:
        """Check all and move it in.

        Raises:
            Refused: A file is damaged or missing, or the disk is full or cannot be written.
        """
        try:
            self._end()
            if not whole(self._folder, self._digest):
                raise Refused(
                    "DeviceError",
                    f"the bundle {self._digest[:12]} did not reach the board whole",
                    "run it again: it is sent anew",
                )
            self._store.take_in(self._folder, self._digest)
        except OSError as error:
            raise self._store.refusal(error) from None

    def drop(self) -> None:
        """Leave nothing of it."""
        with suppress(OSError):
            if self._file is not None:
                self._file.close()
        shutil.rmtree(str(self._folder), ignore_errors=True)

    def _end(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            with file:
                os.fsync(file.fileno())

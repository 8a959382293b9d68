"""Which engines were built here. TensorRT runs what is in an engine: none is loaded that came from elsewhere.

The digests lie in the user's own folder, which no bundle brings: an empty file for each.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from .sealed import RefusedError


def folder() -> Path:
    """Of the digests: ``~/.local/state/edgeeff/engines``, or below ``XDG_STATE_HOME``."""
    home = Path(os.environ.get("HOME") or "/")
    return Path(os.environ.get("XDG_STATE_HOME") or home / ".local" / "state") / "edgeeff" / "engines"


def remember(digest: str) -> None:
    """Note that an engine was built here.

    Raises:
        RefusedError: The folder cannot be written.
    """
    place = folder()
    try:
        place.mkdir(parents=True, exist_ok=True)
        (place / digest).touch()
    except OSError as error:
        raise RefusedError(
            f"{place} cannot be written ({error.strerror}), where it is kept which engines were built here; "
            "set XDG_STATE_HOME to a folder that can"
        ) from None


def is_known(digest: str) -> bool:
    """Whether an engine was built here."""
    return (folder() / digest).is_file()


def trusting(digest: str) -> str:
    """The line of a shell that has an engine taken as if it were, for a user who knows it."""
    return f"mkdir -p {shlex.quote(str(folder()))} && touch {shlex.quote(str(folder() / digest))}"

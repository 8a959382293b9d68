"""SHA-256 of files on a board."""

from __future__ import annotations

import hashlib
from pathlib import Path

_BLOCK = 1 << 20


def digest_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal, read block by block.

    Raises:
        OSError: It cannot be read.
    """
    whole = hashlib.sha256()
    with path.open("rb") as content:
        while True:
            block = content.read(_BLOCK)
            if not block:
                return whole.hexdigest()
            whole.update(block)

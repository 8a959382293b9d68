"""SHA-256 of files on a board, and whether a bundle there is whole."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

_BLOCK = 1 << 20
MANIFEST = "manifest.json"


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


def whole(folder: Path, digest: str) -> bool:
    """Whether a folder holds the bundle of this manifest, with each sealed file as it was sealed."""
    try:
        content = (folder / MANIFEST).read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            return False
        return all(digest_of(folder / n) == s for n, s in json.loads(content.decode())["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False

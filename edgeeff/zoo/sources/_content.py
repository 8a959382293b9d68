"""What a source is made from, as one digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


def sha256(files: Iterable[Path]) -> str:
    """SHA-256 over the contents of files; of several also over their names and sizes."""
    listed = list(files)
    whole = hashlib.sha256()
    for path in listed:
        if len(listed) > 1:
            whole.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as content:
            while block := content.read(1 << 20):
                whole.update(block)
    return whole.hexdigest()

"""SHA-256 of bytes, files and plain data, in hexadecimal: what results, bundles and sources are known by."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_BLOCK = 1 << 20


def of_bytes(content: bytes) -> str:
    """SHA-256 of some bytes."""
    return hashlib.sha256(content).hexdigest()


def of_json(data: Any) -> str:
    """SHA-256 of plain data, whatever the order of its keys.

    It is kept in files, databases and reports: another way of writing would be another digest.
    """
    return of_bytes(json.dumps(data, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode())


def of_file(path: Path) -> str:
    """SHA-256 of a file's content, read block by block.

    Raises:
        OSError: It cannot be read.
    """
    return of_files([path])


def of_files(paths: Iterable[Path]) -> str:
    """SHA-256 over the contents of files; of several also over their names and sizes, in the order given.

    Raises:
        OSError: One cannot be read.
    """
    listed = list(paths)
    whole = hashlib.sha256()
    for path in listed:
        if len(listed) > 1:
            whole.update(os.fsencode(path.name) + f"\0{path.stat().st_size}\0".encode())
        with path.open("rb") as content:
            while block := content.read(_BLOCK):
                whole.update(block)
    return whole.hexdigest()


def of_regular_file(path: Path) -> str | None:
    """SHA-256 of a file's content; None for what is no file or cannot be read.

    A pipe would be waited for, a device may have no end, and a name from outside may be one that no file has.
    """
    try:
        return of_file(path) if os.path.isfile(path) else None  # noqa: PTH113  Path's own raises
    except (OSError, ValueError):
        return None

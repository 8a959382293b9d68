"""The bundle that these scripts lie in: what its manifest sealed, and what may be written beside it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

MEASURED = "measured"


class RefusedError(Exception):
    """Why nothing can be done here; one line, exit status 2."""


def read_bundle(folder: Path) -> dict[str, Any]:
    """The manifest, once every sealed file has been found to have its SHA-256."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        altered = [name for name, seal in manifest["files"].items() if digest(folder / name) != seal]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RefusedError(f"{folder} is not a whole bundle ({error}); copy it again") from None
    if altered:
        raise RefusedError(f"{', '.join(altered)} is not what manifest.json sealed; copy the bundle again")
    return dict(manifest)


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_whole(path: Path, content: Any) -> None:
    """Write a file whole or not at all, making its folder; no link is written through."""
    path.parent.mkdir(exist_ok=True)
    if path.parent.is_symlink():  # it may lead anywhere
        raise RefusedError(f"{path.parent} is a link, and is not written to; put a folder in its place")
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        if unfinished.is_symlink() or unfinished.exists():
            unfinished.unlink()
        with unfinished.open("xb") as file:  # x: never through a link
            file.write(content)
        unfinished.replace(path)
    finally:
        if unfinished.exists():
            unfinished.unlink()


def write_json(path: Path, data: Any) -> None:
    """The same for data; NaN, which is no JSON, is an error of ours."""
    write_whole(path, json.dumps(data, indent=2, allow_nan=False).encode() + b"\n")

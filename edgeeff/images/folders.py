"""Images of a folder; subfolders of a folder without images of its own are classes."""

from __future__ import annotations

from pathlib import Path

from edgeeff.images.decoding import SUFFIXES
from edgeeff.images.picture import Picture


def read(folder: Path) -> tuple[list[Picture], tuple[str, ...]]:
    """The images below a folder, and the subfolders that label them."""
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    classes = sorted({p.relative_to(folder).parts[0] for p in files if len(p.relative_to(folder).parts) > 1})
    flat = any(p.parent == folder for p in files)
    if flat:
        return [Picture(p) for p in files], ()
    numbers = {name: i for i, name in enumerate(classes)}
    return [Picture(p, label=numbers[p.relative_to(folder).parts[0]]) for p in files], tuple(classes)

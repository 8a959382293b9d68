"""Images that a text file lists: one path a line, with the class index after it if there is one."""

from __future__ import annotations

from pathlib import Path

from edgeeff.images.picture import UNLABELLED, Picture


def read(path: Path) -> list[Picture]:
    """The images of a list file; paths are relative to it."""
    pictures = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        name, label = text, UNLABELLED
        for separator in (",", None):
            head, *tail = text.rsplit(separator, 1)
            if tail and tail[0].strip().lstrip("-").isdigit():
                name, label = head.strip(), int(tail[0])
                break
        pictures.append(Picture(path.parent / name, label=label))
    return pictures

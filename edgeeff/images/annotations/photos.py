"""Where the photos lie that a file of annotations names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgeeff import regular
from edgeeff.errors import MissingFileError
from edgeeff.images.annotations.truth import some
from edgeeff.images.tables import exists

#: Photos that are looked for in each folder before one is taken.
_TRIED = 50
_MEND = "name the folder of the photos with --root (eval), or put the file beside them"


def beside(path: Path) -> list[Path]:
    """The folders where the photos of an annotation file usually lie, the likeliest first."""
    folder = path.parent
    split = path.stem.removeprefix("instances_").removeprefix("person_keypoints_")
    names = ("", "images", split, f"images/{split}", "JPEGImages", "data")
    return list(dict.fromkeys(base / name for base in (folder, folder.parent) for name in names))


def folder_of(names: Sequence[str], root: Path | None, path: Path) -> Path:
    """The folder that the photos' names are below.

    Args:
        names: As the file has them.
        root: The user's; None: where such files usually have them.
        path: The file.

    Raises:
        MissingFileError: None of them is there.
    """
    if root is not None and not regular.is_folder(root):
        raise MissingFileError(f"no folder {root}", mend="name the folder of the photos with --root")
    folders = [root] if root is not None else beside(path)
    step = max(1, len(names) // _TRIED)
    tried = names[::step]
    there = [sum(exists(plain(name), folder) for name in tried) for folder in folders]
    if not any(there):  # few of many may be there: all of them are looked for
        there = [sum(exists(plain(name), folder) for name in names) for folder in folders]
    if not any(there):
        shown = [folder for folder in folders if regular.is_folder(folder)]
        raise MissingFileError(
            f"{path}: not one of its {len(names)} photos is there ({some(names)}); looked in {some(shown)}",
            mend=_MEND,
        )
    return folders[there.index(max(there))]


def plain(name: str) -> str:
    """A photo's name with slashes between folders."""
    return name.replace("\\", "/")


def missing(path: Path, names: Sequence[str], total: int) -> tuple[str, ...]:
    """A warning of photos that are not there."""
    if not names:
        return ()
    return (
        f"{path}: {len(names)} of {total} photos are not there and are left out, with their boxes "
        f"({some(names)})",
    )

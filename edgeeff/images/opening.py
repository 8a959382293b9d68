"""Opening whatever holds images."""

from __future__ import annotations

from pathlib import Path

from edgeeff import regular
from edgeeff.errors import MissingFileError
from edgeeff.images import arrays, folders, lists
from edgeeff.images.classes import Labelling
from edgeeff.images.image_set import ImageSet
from edgeeff.images.picture import Picture
from edgeeff.images.suffixes import is_readable, readable

LISTS = (".txt", ".lst", ".list", ".csv", ".tsv")


def open_images(source: Path | str) -> ImageSet:
    """The images of a file, a folder, a list file or an .npz.

    Raises:
        MissingFileError: There is nothing there, or no image in it.
    """
    if source == "":  # a variable that is not set, and no wish for the current folder
        raise MissingFileError(
            "an empty path names no images", mend="pass an image, a folder or a list; . is here"
        )
    path = Path(source)
    if regular.is_folder(path):
        folder = folders.read(path)
        found = ImageSet(
            tuple(folder.pictures),
            labelling=Labelling(folder.class_names, folder.empty),
            warnings=folder.warnings,
            notes=folder.notes,
        )
    elif not regular.is_file(path):
        raise MissingFileError(
            f"no file or folder {path}", mend="pass an image, a folder of images, a list file or an .npz"
        )
    elif path.suffix.lower() == ".npz":
        found = ImageSet(tuple(arrays.read(path)))
    elif is_readable(path):
        found = ImageSet((Picture(path),))
    elif path.suffix.lower() in LISTS:
        listed = lists.read(path)
        labelling = Labelling(
            listed.class_names, listed=True, undecided=listed.undecided, columns=listed.columns
        )
        found = ImageSet(tuple(listed.pictures), labelling=labelling, warnings=listed.warnings)
    else:
        raise MissingFileError(
            f"{path} is neither an image that is read here nor a list of images",
            mend=f"images end in {_suffixes()}; lists end in {', '.join(LISTS)}, arrays in .npz",
        )
    if not found.pictures:
        why = "".join(f"; {text}" for text in (*found.warnings, *found.notes))
        raise MissingFileError(f"{path} holds no image{why}", mend=f"put images there ({_suffixes()})")
    return found


def _suffixes() -> str:
    return ", ".join(sorted(readable()))

"""Opening whatever holds images."""

from __future__ import annotations

from pathlib import Path

from edgeeff.errors import MissingFileError
from edgeeff.images import arrays, folders, lists
from edgeeff.images.decoding import SUFFIXES
from edgeeff.images.image_set import ImageSet
from edgeeff.images.picture import Picture


def open_images(source: Path | str) -> ImageSet:
    """The images of a file, a folder, a list file or an .npz.

    Raises:
        MissingFileError: There is nothing there, or no image in it.
    """
    path = Path(source)
    names: tuple[str, ...] = ()
    if path.is_dir():
        pictures, names = folders.read(path)
    elif not path.is_file():
        raise MissingFileError(
            f"no file or folder {path}", mend="pass an image, a folder of images, a list file or an .npz"
        )
    elif path.suffix == ".npz":
        pictures = arrays.read(path)
    elif path.suffix.lower() in SUFFIXES:
        pictures = [Picture(path)]
    elif path.suffix.lower() in (".txt", ".lst", ".list", ".csv"):
        pictures = lists.read(path)
    else:
        raise MissingFileError(
            f"{path} is neither an image nor a list of images",
            mend=f"images end in {', '.join(sorted(SUFFIXES))}; lists end in .txt, arrays in .npz",
        )
    if not pictures:
        raise MissingFileError(
            f"{path} holds no image", mend=f"put images there ({', '.join(sorted(SUFFIXES))})"
        )
    return ImageSet(tuple(pictures), class_names=names)

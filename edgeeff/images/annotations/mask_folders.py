"""Which mask belongs to which photo: by its name, in a folder of masks.

``images/val/0001.jpg`` has ``masks/val/0001.png``. A mask's name may go on behind the photo's, the same way
for all: ``0001_mask.png``, ``0001_L.png``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from os.path import commonpath
from pathlib import Path

from edgeeff import regular
from edgeeff.errors import MissingFileError
from edgeeff.images.annotations.mask_pixels import SUFFIXES
from edgeeff.images.annotations.truth import some
from edgeeff.images.image_set import ImageSet
from edgeeff.images.picture import Picture

#: Folders of photos, and those of masks that lie beside them.
PHOTOS, MASKS = "images", "masks"
#: What a mask's name has behind the photo's, by preference; and what a photo's has that the mask's lacks.
ENDINGS = (
    *("", "_mask", "-mask", "_masks", "_label", "_labels", "_L", "_gt", "_seg", "_segmentation"),
    *("_labelTrainIds", "_gtFine_labelTrainIds", "_labelIds", "_gtFine_labelIds"),
)
_PHOTO = "_leftImg8bit"


def beside(images: ImageSet) -> ImageSet:
    """The images with the masks that lie beside them, ``masks`` in the place of ``images`` in their paths.

    Images that have masks already, or of which none has one there, stay as they are.
    """
    if any(picture.mask is not None for picture in images.pictures):
        return images
    folders = dict.fromkeys(filter(None, (_folder(picture.path) for picture in images.pictures)))
    held = {folder: _index(folder, deep=False) for folder in folders if regular.is_folder(folder)}
    if not held:
        return images
    found = _matched(images.pictures, lambda picture: held.get(_folder(picture.path) or Path(), {}))
    if all(picture.mask is None for picture in found):
        return images
    note = f"masks are those of {some([str(folder) for folder in held])}"
    return replace(images, pictures=tuple(found), notes=(*images.notes, note))


def of_folder(images: ImageSet, folder: Path) -> ImageSet:
    """The images with the masks of a folder.

    Args:
        images: Photos; masks that they have already are replaced.
        folder: Of the masks, which may lie in subfolders as the photos do.

    Raises:
        MissingFileError: It is no folder, holds no mask, or none of them has a photo's name; or two masks may
            be one photo's.
    """
    if not regular.is_folder(folder):
        raise MissingFileError(f"no folder {folder}", mend="name the folder of the masks with --masks")
    held = _index(folder, deep=True)
    if not held:
        raise MissingFileError(
            f"{folder} holds no mask", mend=f"masks are images that end in {', '.join(SUFFIXES[:4])}"
        )
    root = _root(images.pictures)
    found = _matched(images.pictures, lambda _: held, folder, root)
    if all(picture.mask is None for picture in found):
        raise MissingFileError(
            f"no mask of {folder} is called as a photo is ({images.pictures[0].path.stem}); masks are "
            f"{some(sorted(held))}",
            mend="call the mask of 0001.jpg 0001.png, or list image,mask in a .csv",
        )
    return replace(images, pictures=tuple(found))


def _folder(photo: Path) -> Path | None:
    """Where the mask of a photo would lie."""
    parts = photo.parts[:-1]
    places = [i for i, part in enumerate(parts) if part == PHOTOS]
    return Path(*parts[: places[-1]], MASKS, *parts[places[-1] + 1 :]) if places else None


def _index(folder: Path, *, deep: bool) -> dict[str, list[Path]]:
    """The masks of a folder by their names without the suffix."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*") if deep else folder.iterdir()):
        if path.suffix.lower() in (*SUFFIXES, ".jpg", ".jpeg") and not path.name.startswith("."):
            found.setdefault(path.stem, []).append(path)
    return found


def _root(pictures: Sequence[Picture]) -> Path:
    folders = {str(picture.path.parent) for picture in pictures}
    return Path(commonpath(folders)) if folders else Path()


def _matched(
    pictures: Sequence[Picture],
    held: Callable[[Picture], Mapping[str, list[Path]]],
    folder: Path | None = None,
    root: Path | None = None,
) -> list[Picture]:
    """The pictures with their masks, by the ending that fits the most of them."""
    best: list[Picture] = [replace(picture, mask=None) for picture in pictures]
    most = 0
    for ending in ENDINGS:
        found = []
        for picture in pictures:
            stem = picture.path.stem.removesuffix(_PHOTO) if ending else picture.path.stem
            paths = held(picture).get(stem + ending, []) if picture.index is None else []
            found.append(replace(picture, mask=_one(paths, picture.path, folder, root)))
        count = sum(picture.mask is not None for picture in found)
        if count > most:
            best, most = found, count
        if most == len(pictures):
            break
    return best


def _one(paths: Sequence[Path], photo: Path, folder: Path | None, root: Path | None) -> Path | None:
    """The mask of a photo: of several that which lies as the photo does.

    Raises:
        MissingFileError: It cannot be told.
    """
    if len(paths) > 1 and folder is not None and root is not None:
        lies = photo.parent.relative_to(root)
        paths = [path for path in paths if path.parent.relative_to(folder) == lies] or paths
    if len(paths) > 1:
        raise MissingFileError(
            f"{photo} may have the mask {paths[0]} or {paths[1]}",
            mend="let masks lie in subfolders as the photos do, or list image,mask in a .csv",
        )
    return paths[0] if paths else None

"""Opening whatever holds images."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from edgeeff import regular
from edgeeff.errors import MissingFileError, OptionError
from edgeeff.images import arrays, folders, lists
from edgeeff.images.annotations import coco, voc
from edgeeff.images.annotations.annotated import Annotated
from edgeeff.images.classes import Labelling
from edgeeff.images.image_set import ImageSet
from edgeeff.images.picture import Picture
from edgeeff.images.suffixes import is_readable, is_video, readable

LISTS = (".txt", ".lst", ".list", ".csv", ".tsv")

#: Sources of streams; a path has lost a slash of its address.
_LIVE = re.compile(r"((?:rtsps?|https?|gst|rtmp|tcp|udp):)")


def open_images(source: Path | str, root: Path | str | None = None, clips: Collection[str] = ()) -> ImageSet:
    """The images of a file, a folder, a list file or an .npz, or of a set with boxes (COCO's, VOC's).

    Args:
        source: What holds them.
        root: The folder of the photos that a set with boxes names; None: where such sets usually have them.
        clips: Suffixes of videos that are taken, too: as ``clips`` of the set, which then may have no images.

    Raises:
        MissingFileError: There is nothing there, or no image in it.
        LabelsError: A set with boxes contradicts itself.
        OptionError: A root for what names no photos.
    """
    if source == "":  # a variable that is not set, and no wish for the current folder
        raise MissingFileError(
            "an empty path names no images", mend="pass an image, a folder or a list; . is here"
        )
    path = Path(source)
    annotated = _annotated(path, None if root is None else Path(root))
    if annotated is not None:
        return of_boxes(annotated)
    if root is not None:
        raise OptionError(
            f"--root says where the photos of COCO's or VOC's annotations lie, and {path} is neither",
            mend="leave it out",
        )
    if regular.is_folder(path):
        found = _of_folder(folders.read(path, clips))
    elif not regular.is_file(path):
        raise _missing(path)
    elif path.suffix.lower() in clips:
        found = ImageSet((), clips=(path,))
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
    elif is_video(path):
        raise MissingFileError(
            f"{path} is a video, and images are wanted here",
            mend="take images out of it: ffmpeg -i VIDEO -vf fps=1 FOLDER/%05d.png; videos are for run, and "
            "for --calibration and --validation of a build",
        )
    else:
        raise MissingFileError(
            f"{path} is neither an image that is read here nor a list of images",
            mend=f"images end in {_suffixes()}; lists end in {', '.join(LISTS)}, arrays in .npz, "
            "COCO's annotations in .json",
        )
    if not found.pictures and not found.clips:
        why = "".join(f"; {text}" for text in (*found.warnings, *found.notes))
        raise MissingFileError(f"{path} holds no image{why}", mend=f"put images there ({_suffixes()})")
    return found


def _of_folder(folder: folders.Found) -> ImageSet:
    return ImageSet(
        tuple(folder.pictures),
        labelling=Labelling(folder.class_names, folder.empty),
        warnings=folder.warnings,
        notes=folder.notes,
        clips=folder.clips,
    )


def of_boxes(found: Annotated) -> ImageSet:
    """Photos with boxes as a set; to whatever wants no boxes they are photos without a label."""
    labelling = Labelling(boxes=found.names, box_numbers=found.numbers)
    return ImageSet(tuple(found.pictures), labelling=labelling, warnings=found.warnings, notes=found.notes)


def _annotated(path: Path, root: Path | None) -> Annotated | None:
    """A set with boxes; None: it is none."""
    if regular.is_file(path):
        if path.suffix.lower() in coco.SUFFIXES:
            return coco.read(path, root)
        return voc.read_split(path, root) if voc.is_split(path) else None
    return voc.read(path, root) if voc.is_one(path) else None


def _suffixes() -> str:
    return ", ".join(sorted(readable()))


def _missing(path: Path) -> MissingFileError:
    """What is said of a source that is no file."""
    if live := _LIVE.match(str(path)):
        return MissingFileError(  # its address is not repeated: it may hold a password
            f"{live[1]} names a stream, which has no images to come back to",
            mend="record a clip of it, and pass that file: edgeeff run answers streams",
        )
    return MissingFileError(
        f"no file or folder {path}",
        mend="pass an image, a folder of images, a list file, an .npz or COCO's .json",
    )

"""Data sets that a YAML file describes, as Ultralytics' tools read them: splits and classes.

    path: flowers           # the folder of the set, relative to this file; the file's own folder without it
    train: images/train
    val: images/val         # a folder with a subfolder for each class, or a list file
    names: [daisy, rose]    # or {0: daisy, 1: rose}

Sets of boxes have their labels in files beside the images (:mod:`edgeeff.images.annotations.yolo`), sets of
masks these (:mod:`edgeeff.images.annotations.mask_folders`); ``ignore: 255`` or a list says which of their
numbers are nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from edgeeff import regular, text
from edgeeff.errors import LabelsError, MissingFileError, OptionError
from edgeeff.images.annotations import mask_folders, yolo
from edgeeff.images.annotations.mask_pixels import LARGEST, Rule
from edgeeff.images.image_set import ImageSet
from edgeeff.images.opening import of_boxes, open_images
from edgeeff.images.picture import UNLABELLED

SUFFIXES = (".yaml", ".yml")
#: Bytes of the largest such file: one with the names of 100 000 classes is smaller.
_LARGEST = 16 << 20
_MEND = "write path, val and names, where val is a folder with a subfolder for each class, or a list file"


def read(path: Path, splits: Sequence[str]) -> ImageSet:
    """The images of a split.

    Args:
        path: The YAML file.
        splits: By preference, such as ``("val", "test")``: the first that the file names is taken, and a note
            says which.

    Raises:
        MissingFileError: It is no such file, or a split's images are not there.
        LabelsError: The images bear neither classes nor boxes, or names are not the classes of their folders.
        OptionError: No YAML can be read here, or the file names none of the splits.
    """
    said = _parsed(path)
    split = next((name for name in splits if said.get(name) is not None), None)
    if split is None:
        raise OptionError(
            f"{path} names no images for {' or '.join(splits)}", mend="name the split, or pass its folder"
        )
    places = _places(said, split, path)
    sets = [open_images(place) for place in places]
    names = _names(said, path)
    bear = any(one.labelling.names or one.labels is not None for one in sets)
    if not bear or any(_has_label_files(place) for place in places):
        boxes = _of_boxes(sets, names, path, split)
        if boxes is not None:
            return boxes
    if not bear:
        return _of_masks(sets, said, names, path, split)
    if len(sets) > 1:
        raise MissingFileError(f"{path}: {split} names several folders of classes", mend=_MEND)
    (images,) = sets
    unnamed = [name for name in images.labelling.names if names and name not in names]
    if unnamed and not all(name.isascii() and name.isdigit() for name in images.labelling.names):
        raise LabelsError(
            f"{path}: the images of {split} have the class {unnamed[0]!r}, which is none of its names",
            mend="let names be those of the classes' folders",
        )
    labelling = replace(images.labelling, order=tuple(names))
    return replace(images, labelling=labelling, notes=(*images.notes, f"{path}: images of {split}"))


def _places(said: Mapping[str, Any], split: str, path: Path) -> list[Path]:
    """The folders or lists of a split.

    Raises:
        MissingFileError: They are none.
    """
    listed = said[split] if isinstance(said[split], list) else [said[split]]
    base = said.get("path", "")
    if not listed or not isinstance(base, str) or any(not isinstance(p, str) or "://" in p for p in listed):
        raise MissingFileError(f"{path}: {split} is {said[split]!r:.80}, and no folder or list", mend=_MEND)
    folder = path.parent / base
    # Roboflow writes ../train/images for what lies in train/images beside the file; Ultralytics reads it so.
    return [
        folder / place.removeprefix("../")
        if place.startswith("../") and not regular.exists(folder / place)
        else folder / place
        for place in listed
    ]


def _of_boxes(sets: Sequence[ImageSet], names: Sequence[str], path: Path, split: str) -> ImageSet | None:
    """Images with the boxes of the files beside them; None where they have none."""
    pictures = [
        replace(picture, label=UNLABELLED, class_name=None) for one in sets for picture in one.pictures
    ]
    found = yolo.read(pictures, path, names)
    if found is None:
        return None
    images = of_boxes(found)
    warnings = (*(text for one in sets for text in one.warnings), *images.warnings)
    notes = (*(text for one in sets for text in one.notes), *images.notes, f"{path}: images of {split}")
    return replace(images, warnings=warnings, notes=notes)


def _of_masks(
    sets: Sequence[ImageSet], said: Mapping[str, Any], names: Sequence[str], path: Path, split: str
) -> ImageSet:
    """Images with the masks that lie beside them, whose numbers are the names' places.

    Raises:
        LabelsError: They have none, or what is to be ignored is no number.
    """
    ignore = said.get("ignore", said.get("ignore_index"))
    numbers = ignore if isinstance(ignore, list) else [] if ignore is None else [ignore]
    if any(type(number) is not int or not 0 <= number <= LARGEST for number in numbers):
        raise LabelsError(f"{path}: ignore is {ignore!r:.80}", mend="write numbers of masks, such as 255")
    every = ImageSet(
        tuple(picture for one in sets for picture in one.pictures),
        warnings=tuple(text for one in sets for text in one.warnings),
        notes=tuple(text for one in sets for text in one.notes),
        masks=Rule(None if ignore is None else tuple(numbers), names=tuple(names)),
    )
    found = mask_folders.beside(every)
    if all(picture.mask is None for picture in found.pictures):
        raise LabelsError(
            f"{path}: no image of {split} has a class, a mask or a file of boxes",
            mend=f"{_MEND}; masks lie in masks/ as photos do in images/",
        )
    return replace(found, notes=(*found.notes, f"{path}: images of {split}"))


def _parsed(path: Path) -> Mapping[str, Any]:
    content = text.read(path, MissingFileError, _LARGEST)
    try:
        yaml = import_module("yaml")
    except ModuleNotFoundError:
        raise OptionError(
            f"{path} cannot be read without PyYAML, which is not installed",
            mend="pip install pyyaml; or pass the folder of the split",
        ) from None
    try:
        said = yaml.safe_load(content)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise MissingFileError(f"{path} is no YAML: {reason:.200}", mend=_MEND) from None
    if not isinstance(said, dict) or not all(isinstance(key, str) for key in said):
        raise MissingFileError(f"{path} describes no data set", mend=_MEND)
    return said


def _names(said: Mapping[str, Any], path: Path) -> list[str]:
    """The names of the classes by their numbers; none where the file has none."""
    found = said.get("names", [])
    if isinstance(found, dict):
        if sorted(found, key=str) != sorted(range(len(found)), key=str):
            raise LabelsError(f"{path}: names are not numbered 0…{len(found) - 1}", mend=_MEND)
        found = [found[number] for number in range(len(found))]
    if not isinstance(found, list) or not all(isinstance(name, (str, int)) for name in found):
        raise LabelsError(f"{path}: names are {found!r:.80}", mend="write names: [cat, dog]")
    names = [str(name) for name in found]
    if len({*names}) < len(names):
        raise LabelsError(f"{path}: a class's name stands twice", mend="let names differ")
    if names and said.get("nc") not in (None, len(names)):
        raise LabelsError(f"{path}: nc is {said['nc']}, and there are {len(names)} names", mend=_MEND)
    return names


def _has_label_files(images: Path) -> bool:
    """Whether there are label files where tools that train detectors look for them."""
    beside = Path(*("labels" if part == "images" else part for part in images.parts))
    return beside != images and regular.is_folder(beside)

"""Boxes of a file as boxes of a network: its classes, and pixels of the photos as they are read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgeeff import labels as naming
from edgeeff.errors import LabelsError
from edgeeff.images.annotations.truth import Truth, some
from edgeeff.images.image_set import ImageSet
from edgeeff.preprocess import Preprocess

#: Width and height of a photo.
Size = tuple[int, int]
_NUMBERED = "build with --labels, and let the file name its classes, to be certain"


@dataclass(frozen=True)
class Placed:
    """The truths of all images, in their order, and what may be wrong, a sentence each."""

    truths: tuple[Truth, ...]
    warnings: tuple[str, ...]


def placed(
    images: ImageSet, labels: Sequence[str], preprocess: Preprocess, sizes: Sequence[Size | None]
) -> Placed:
    """The boxes of images as the network knows them.

    Args:
        images: Whose pictures bear boxes.
        labels: The network's, or what stands for them (:func:`edgeeff.labels.placeholders`).
        preprocess: The network's.
        sizes: Width and height of each photo, turned as it is read; None of one that cannot be read.

    Raises:
        LabelsError: No class of the file is one of the network's, or its numbers cannot be.
    """
    known = classed(images, labels)
    found = located(images, known.truths, preprocess, sizes)
    return Placed(found.truths, warnings=(*known.warnings, *found.warnings))


def classed(images: ImageSet, labels: Sequence[str]) -> Placed:
    """The boxes of images with the network's classes, their corners as the file has them.

    Args:
        images: Whose pictures bear boxes.
        labels: The network's, or what stands for them.

    Raises:
        LabelsError: As of :func:`placed`.
    """
    used = Counter[int]()
    for picture in images.pictures:
        if picture.boxes is not None:
            used.update(picture.boxes.classes.tolist())
    order, warnings = _classes(images.labelling.boxes, images.labelling.box_numbers, labels, used)
    table = np.full(max([*used, *order], default=-1) + 1, -1, np.int64)
    for place, cls in order.items():
        table[place] = cls
    found = []
    for count, picture in enumerate(images.pictures):
        truth = picture.boxes or _EMPTY
        classes = table[truth.classes]
        found.append(replace(truth, classes=classes, number=count).chosen(classes >= 0))
    return Placed(tuple(found), tuple(warnings))


def located(
    images: ImageSet, truths: Sequence[Truth], preprocess: Preprocess, sizes: Sequence[Size | None]
) -> Placed:
    """Boxes in pixels of the photos as they are read, within them; of a photo that cannot be read none.

    Args:
        images: The photos.
        truths: The boxes of each.
        preprocess: The network's.
        sizes: Width and height of each photo, turned as it is read; None of one that cannot be read.
    """
    found, counts, first = [], Counter[str](), dict[str, str]()
    for picture, known, size in zip(images.pictures, truths, sizes, strict=True):
        if size is None:
            found.append(known.chosen(np.zeros(len(known), bool)))
            continue
        if known.size is not None and known.size != size:
            counts["turned" if known.size == size[::-1] else "other"] += 1
            first.setdefault("turned" if known.size == size[::-1] else "other", str(picture))
        cut, clipped, empty = known.of_photo(*size).clipped(*size)
        counts.update(clipped=clipped, empty=empty)
        for kind, some_of in (("clipped", clipped), ("empty", empty)):
            if some_of:
                first.setdefault(kind, str(picture))
        found.append(replace(cut, size=size, fit=preprocess.place(size)))
    said = {
        "turned": "photos have width and height the other way round than their boxes are for: turned "
        "by EXIF? The boxes are taken as they stand",
        "other": "photos have another size than their boxes are for; the boxes are taken as they stand",
        "clipped": "boxes reach beyond their photo, and are cut at its edges",
        "empty": "boxes lie outside of their photo, and are left out",
    }
    warnings = [f"{counts[kind]} {text} ({first[kind]})" for kind, text in said.items() if counts[kind]]
    return Placed(tuple(found), tuple(warnings))


_EMPTY = Truth(np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0, bool), np.zeros(0))


def _classes(
    names: Sequence[str], numbers: Sequence[int], labels: Sequence[str], used: Counter[int]
) -> tuple[dict[int, int], list[str]]:
    """The network's class of each of the file's that some box has; and what of that is a guess."""
    if names and naming.are_known(labels):
        return _by_name(names, labels, used)
    found, guess = _by_number(numbers or range(len(names)), len(labels), used)
    whose = "the network has no labels" if names else "the file has no names of classes"
    return found, ([f"{whose}: {guess}; {_NUMBERED}"] if found else [])


def plain(name: str) -> str:
    """A name without what people write differently: case, spaces and what stands for them."""
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()


def _by_name(
    names: Sequence[str], labels: Sequence[str], used: Counter[int]
) -> tuple[dict[int, int], list[str]]:
    exact = {label: i for i, label in enumerate(labels)}
    alike: dict[str, list[int]] = {}
    for i, label in enumerate(labels):
        alike.setdefault(plain(label), []).append(i)
    found: dict[int, int] = {}
    unknown, taken = [], []
    for place in sorted(used):
        name = names[place]
        near = alike.get(plain(name), [])
        if name in exact:
            found[place] = exact[name]
        elif len(near) == 1:
            found[place] = near[0]
            taken.append(f"{name} is {labels[near[0]]}")
        else:
            unknown.append(place)
    if used and not found:
        raise LabelsError(
            "no class of the boxes is one of the network's: theirs are "
            f"{some([names[p] for p in sorted(used)])}, the network's {some(labels)}",
            mend="let the file name its classes as the network's labels do, or build with --labels",
        )
    warnings = []
    if taken:
        warnings.append(
            f"classes of the boxes are taken for labels that are written otherwise: {some(taken)}"
        )
    if unknown:
        boxes = sum(used[place] for place in unknown)
        warnings.append(
            f"{boxes} of {sum(used.values())} boxes are of classes that the network does not know, and are "
            f"left out ({some([names[place] for place in unknown])})"
        )
    shared = [n for n, c in Counter(labels[cls] for cls in found.values()).items() if c > 1]
    if shared:
        warnings.append(f"several classes of the boxes are one of the network's: {some(shared)}")
    return found, warnings


def _by_number(numbers: Sequence[int], classes: int, used: Counter[int]) -> tuple[dict[int, int], str]:
    """By the file's numbers: from 0 where one is 0, else from 1."""
    first = 0 if not numbers or min(numbers) < 1 else 1
    found = {place: numbers[place] - first for place in used}
    beyond = [numbers[place] for place, cls in found.items() if not 0 <= cls < classes]
    if beyond:
        raise LabelsError(
            f"boxes are of class {min(beyond)}, and the network's classes, without names, are "
            f"{first}…{classes - 1 + first}",
            mend=_NUMBERED,
        )
    return found, f"classes are taken by their numbers, counted from {first}"

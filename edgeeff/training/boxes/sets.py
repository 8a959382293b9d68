"""Photos with boxes as a detector learns from them: which classes there are, and what may be wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeeff import labels
from edgeeff.errors import LabelsError
from edgeeff.images import ImageSet
from edgeeff.images.annotations import Truth
from edgeeff.images.annotations.classes import located
from edgeeff.images.annotations.truth import some
from edgeeff.images.decoding import sizes
from edgeeff.images.picture import Picture
from edgeeff.preprocess import Preprocess

#: Boxes of a class from which on something can be learnt of it.
FEW = 10


@dataclass(frozen=True)
class BoxSet:
    """Photos with boxes of known classes.

    Args:
        pictures: The photos.
        truths: Of each its boxes: the network's classes, corners in pixels of the photo as it is read.
        classes: Their names.
    """

    pictures: tuple[Picture, ...]
    truths: tuple[Truth, ...]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.pictures)


def names(images: ImageSet) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The classes that boxes have, in the order of the file; and those that the file names and no box has.

    Nothing can be learnt of the latter, and an output that never fires helps nobody (exporters write a class
    that stands for all of them, which no box has).

    Raises:
        LabelsError: No photo has a box.
    """
    truths = [picture.boxes for picture in images.pictures if picture.boxes is not None]
    used = {place for truth in truths for place in truth.classes[~truth.crowd].tolist()}
    if not used:
        crowds = any(len(truth) for truth in truths)
        raise LabelsError(
            f"no photo has a box{' that is no crowd' if crowds else ''}, so that nothing can be learnt",
            mend="pass photos with boxes: COCO's .json, a VOC folder, or a data set's YAML with YOLO's text",
        )
    said = images.labelling.boxes
    if not said:
        numbers = images.labelling.box_numbers or range(max(used) + 1)
        highest = max(numbers[place] for place in used)
        return labels.placeholders(highest + (1 if min(numbers) < 1 else 0)), ()
    learnt = {said[place] for place in used}
    every = tuple(dict.fromkeys(said))
    return tuple(n for n in every if n in learnt), tuple(n for n in every if n not in learnt)


def counts(truths: Iterable[Truth], classes: int) -> npt.NDArray[np.int64]:
    """Boxes of each class that are to be found, int64 [classes]."""
    each = [truth.classes[~truth.crowd] for truth in truths]
    return np.bincount(np.concatenate([np.zeros(0, np.int64), *each]), minlength=classes)


def rarest(truths: Sequence[Truth], classes: int) -> npt.NDArray[np.int64]:
    """The class of each photo that has the fewest boxes in all, or −1 of background, int64 [N]."""
    every = counts(truths, classes)
    found = np.full(len(truths), -1, np.int64)
    for number, truth in enumerate(truths):
        own = np.unique(truth.classes[~truth.crowd])
        if len(own):
            found[number] = own[every[own].argmin()]
    return found


def doubts(truths: Sequence[Truth], classes: Sequence[str], unused: Sequence[str]) -> list[str]:
    """What may be wrong with photos to learn from, a sentence each."""
    found = []
    if unused:
        found.append(
            f"{len(unused)} of {len(classes) + len(unused)} classes have no box to learn from, and are left "
            f"out of the network ({some(unused)})"
        )
    each = zip(classes, counts(truths, len(classes)).tolist(), strict=True)
    few = [f"{name} {count}" for name, count in each if count < FEW]
    if few:
        found.append(f"boxes that are too few to learn much from: {some(few)}")
    return found


def described(truths: Sequence[Truth], classes: int) -> str:
    """One phrase: how many boxes, and how many photos without one."""
    empty = sum(not (~truth.crowd).any() for truth in truths)
    crowds = sum(int(truth.crowd.sum()) for truth in truths)
    text = f"{int(counts(truths, classes).sum())} boxes on {len(truths)} photos"
    if empty:
        text += f", {empty} of them without a box (background)"
    return text + (f", {crowds} crowds left out of the loss" if crowds else "")


def placed(
    pictures: Sequence[Picture], truths: Sequence[Truth], classes: Sequence[str], preprocess: Preprocess
) -> tuple[BoxSet, tuple[str, ...]]:
    """Photos, numbered, with boxes in pixels of the photo as it is read; and what was odd, as sentences."""
    images = ImageSet(tuple(pictures))
    found = located(images, truths, preprocess, sizes(images.pictures, preprocess))
    numbered = tuple(replace(truth, number=i) for i, truth in enumerate(found.truths))
    return BoxSet(images.pictures, numbered, tuple(classes)), found.warnings


def digest(truths: Sequence[Truth]) -> list[Any]:
    """What training depends on of boxes, as plain data."""
    return [[t.corners.tolist(), t.classes.tolist(), t.crowd.tolist(), t.fractions] for t in truths]

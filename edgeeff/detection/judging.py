"""Which boxes are right, image by image, as COCO's protocol matches them.

The protocol (https://cocodataset.org/#detection-eval): the best box of a class chooses first, and takes the
truth of that class that it overlaps most, of equal ones the last; a box that overlaps only a crowd counts for
nothing. So it is done at each of ten IoUs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
#: The intersections over union of the protocol, and boxes that it looks at of a class in an image.
IOUS = np.linspace(0.5, 0.95, 10)
MOST = 100
#: Of an IoU of 1, which rounding may miss.
_NEARLY = 1 - 1e-10


@dataclass(frozen=True)
class Sample:
    """Boxes of many images, and what is known of these: flat, in the order of the images.

    Args:
        numbers: Of the images in their set, int64 [N].
        image: Of each box its image's place among these, int64 [D].
        corners: float32 [D, 4]: left, top, right and bottom, pixels of the photo.
        scores: float32 [D], of an image the best first.
        classes: int64 [D].
        known_image: Of each truth its image's place, int64 [G].
        known_corners: float64 [G, 4].
        known_classes: int64 [G].
        crowd: bool [G].
        areas: float64 [G], square pixels.
    """

    numbers: Array
    image: Array
    corners: Array
    scores: Array
    classes: Array
    known_image: Array
    known_corners: Array
    known_classes: Array
    crowd: Array
    areas: Array


@dataclass(frozen=True)
class Judged:
    """Each box that counts of an image and class, by class and in it the best first.

    Args:
        images: How many there are.
        image: The place of each box's image, int64 [D].
        classes: int64 [D].
        scores: float32 [D].
        right: Whether it is right at each IoU, bool [D, 10].
        ignored: Whether it counts for nothing there, bool [D, 10].
        known_image: The image of each truth that is no crowd, int64 [G].
        known_classes: Their classes, int64 [G].
    """

    images: int
    image: Array
    classes: Array
    scores: Array
    right: Array
    ignored: Array
    known_image: Array
    known_classes: Array


def judge(sample: Sample) -> Judged:
    """Match the boxes of each image."""
    count = len(sample.numbers)
    right = np.zeros((len(sample.scores), len(IOUS)), np.bool_)
    ignored = np.zeros_like(right)
    starts = np.searchsorted(sample.image, np.arange(count + 1))
    known_starts = np.searchsorted(sample.known_image, np.arange(count + 1))
    for place in range(count):
        own = slice(starts[place], starts[place + 1])
        known = slice(known_starts[place], known_starts[place + 1])
        if own.start < own.stop and known.start < known.stop:
            _match(sample, own, known, right[own], ignored[own])
    kept = _first_of_each(sample, starts)
    order = kept[np.lexsort((-sample.scores[kept].astype(np.float64), sample.classes[kept]))]
    plain = ~sample.crowd
    return Judged(
        images=count,
        image=sample.image[order],
        classes=sample.classes[order],
        scores=sample.scores[order],
        right=right[order],
        ignored=ignored[order],
        known_image=sample.known_image[plain],
        known_classes=sample.known_classes[plain],
    )


def overlaps(corners: Array, known: Array, crowd: Array) -> npt.NDArray[np.float64]:
    """Intersection over union of each box and each truth, float64 [D, G]; over the box's area of a crowd."""
    one, other = corners.astype(np.float64), known.astype(np.float64)
    wide = np.minimum(one[:, None, 2], other[None, :, 2]) - np.maximum(one[:, None, 0], other[None, :, 0])
    high = np.minimum(one[:, None, 3], other[None, :, 3]) - np.maximum(one[:, None, 1], other[None, :, 1])
    common = np.where((wide > 0) & (high > 0), wide * high, 0.0)
    area = (one[:, 2] - one[:, 0]) * (one[:, 3] - one[:, 1])
    other_area = (other[:, 2] - other[:, 0]) * (other[:, 3] - other[:, 1])
    union = np.where(crowd[None], area[:, None], area[:, None] + other_area[None] - common)
    found: npt.NDArray[np.float64] = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    return found


def _match(sample: Sample, own: slice, known: slice, right: Array, ignored: Array) -> None:
    """Fill in what is right and what counts for nothing of one image's boxes, which are the best first."""
    crowd = sample.crowd[known]
    found = overlaps(sample.corners[own], sample.known_corners[known], crowd)
    same = sample.classes[own][:, None] == sample.known_classes[known][None]
    found[~same] = -1.0
    limits = np.minimum(IOUS, _NEARLY)
    free = np.ones((len(IOUS), len(crowd)), np.bool_)
    free[:, crowd] = False
    each = np.arange(len(IOUS))
    for number in np.flatnonzero(found.max(axis=1) >= limits[0]):
        row = found[number]
        overlap = np.where(free, row, -1.0)
        best = len(row) - 1 - overlap[:, ::-1].argmax(axis=1)
        hit = overlap[each, best] >= limits
        right[number] = hit
        free[each[hit], best[hit]] = False
        if crowd.any():
            ignored[number] = ~hit & (row[crowd].max() >= limits)


def _first_of_each(sample: Sample, starts: Array) -> Array:
    """The places of the boxes of each image, but for more than :data:`MOST` of one class."""
    every = np.arange(len(sample.scores))
    if np.diff(starts).max(initial=0) <= MOST:
        return every
    order = np.lexsort((every, sample.classes, sample.image))
    new = np.ones(len(order), np.bool_)
    new[1:] = (np.diff(sample.image[order]) != 0) | (np.diff(sample.classes[order]) != 0)
    first = np.maximum.accumulate(np.where(new, every, 0))
    return np.sort(order[every - first < MOST])

"""From what a detector computes to boxes: decoding and hard non-maximum suppression, in float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgeeff.detection.boxes import Boxes
from edgeeff.detection.candidates import largest
from edgeeff.detection.geometry import Geometry
from edgeeff.detection.settings import CANDIDATES, Nms

Array = npt.NDArray[Any]
#: Codes of a larger amount are taken for this: an anchor is not stretched beyond e¹⁶, nor moved by more than
#: 10⁶ of its sides, so that areas stay finite. No trained network comes near.
_STRETCH, _SHIFT = 16.0, 1e6
#: No detector has so many classes: a larger number is none.
_CLASSES = 1 << 24
#: Boxes that are compared with one another at a time: few enough calls, and no large matrix.
_TOGETHER = 128


def decode(logits: Array, codes: Array, geometry: Geometry, nms: Nms) -> Boxes:
    """Boxes of one image, in pixels of the input and not clipped to it.

    The best :data:`CANDIDATES` pairs of an anchor and a class are decoded, as effdet and automl do. A NaN
    gives no box and is counted.

    Args:
        logits: float32 [A, C].
        codes: float32 [A, 4]: ty, tx, th, tw.
        geometry: The anchors, A of them.
        nms: Which boxes are kept.

    Raises:
        ValueError: The shapes are not those of the geometry.
    """
    count = geometry.count
    if logits.ndim != 2 or len(logits) != count or codes.shape != (count, 4):
        raise ValueError(
            f"class_logits {list(logits.shape)} and box_codes {list(codes.shape)}; the anchors are {count}"
        )
    logits = np.asarray(logits, np.float32)
    places, invalid = largest(logits, nms.floor, CANDIDATES)
    if not len(places):
        return Boxes.none(invalid)
    anchors, classes = np.divmod(places, logits.shape[1])
    values = np.asarray(codes[anchors], np.float32)
    wrong = np.isnan(values).any(axis=1)
    if wrong.any():
        invalid += int(np.isnan(values).sum())
        places, anchors, classes, values = (each[~wrong] for each in (places, anchors, classes, values))
    corners = corners_of(values, geometry.centres()[anchors])
    kept = suppressed(corners, classes, nms)
    scores = sigmoid(logits.reshape(-1)[places[kept]])
    return Boxes(corners[kept], scores, classes[kept].astype(np.int64), invalid)


def corners_of(codes: Array, centres: Array) -> npt.NDArray[np.float32]:
    """Left, top, right and bottom, float32 [K, 4].

    Args:
        codes: float32 [K, 4]: ty, tx, th, tw, relative to the anchor; th and tw are logarithms.
        centres: The anchors, float32 [K, 4]: centre y and x, height and width.
    """
    shift = np.clip(codes[:, :2], -_SHIFT, _SHIFT)
    middle = shift * centres[:, 2:] + centres[:, :2]
    half = np.exp(np.clip(codes[:, 2:], -_STRETCH, _STRETCH)) * centres[:, 2:] / np.float32(2)
    found = np.empty((len(codes), 4), np.float32)
    found[:, :2] = (middle - half)[:, ::-1]
    found[:, 2:] = (middle + half)[:, ::-1]
    return found


def codes_of(corners: Array, centres: Array) -> npt.NDArray[np.float32]:
    """The reverse: what a network should give for boxes, float32 [K, 4].

    Args:
        corners: Left, top, right and bottom [K, 4], pixels of the input; no side is 0.
        centres: The anchors, [K, 4]: centre y and x, height and width.
    """
    box, anchor = np.asarray(corners, np.float64), np.asarray(centres, np.float64)
    extent = (box[:, 2:] - box[:, :2])[:, ::-1]
    shift = ((box[:, :2] + box[:, 2:])[:, ::-1] / 2 - anchor[:, :2]) / anchor[:, 2:]
    return np.concatenate([shift, np.log(extent / anchor[:, 2:])], axis=1).astype(np.float32)


def suppressed(corners: Array, classes: Array, nms: Nms) -> npt.NDArray[np.int64]:
    """Which boxes stay, int64 [K], the best first: a box goes where a better one that stays overlaps it.

    Args:
        corners: float32 [M, 4]: left, top, right and bottom, the best box first.
        classes: [M].
        nms: Which boxes are kept; the scores have been looked at.
    """
    areas = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    groups = None if nms.across else classes
    kept: list[int] = []
    for start in range(0, len(corners), _TOGETHER):
        numbers = np.arange(start, min(start + _TOGETHER, len(corners)))
        if kept:
            numbers = numbers[~_overlapping(corners, areas, groups, np.array(kept), numbers, nms.iou).any(0)]
        over = _overlapping(corners, areas, groups, numbers, numbers, nms.iou)
        drops = over.sum(1) > over.diagonal()  # those that overlap more than themselves
        stays = np.ones(len(numbers), np.bool_)
        for place, number in enumerate(numbers.tolist()):
            if stays[place]:
                kept.append(number)
                if len(kept) == nms.max_boxes:
                    return np.array(kept, np.int64)
                if drops[place]:
                    stays &= ~over[place]
    return np.array(kept, np.int64)


def _overlapping(
    corners: Array, areas: Array, groups: Array | None, better: Array, others: Array, iou: float
) -> Array:
    """Which boxes overlap by more than the IoU and are of one group, bool [len(better), len(others)].

    Args:
        corners: float32 [M, 4].
        areas: Of each, float32 [M].
        groups: Of each, [M]; None: all are of one.
        better, others: Numbers of boxes.
        iou: 0…1.
    """
    left, top, right, bottom = corners.T
    wide = np.minimum.outer(right[better], right[others])
    wide -= np.maximum.outer(left[better], left[others])
    high = np.minimum.outer(bottom[better], bottom[others])
    high -= np.maximum.outer(top[better], top[others])
    common = np.maximum(wide, 0, out=wide)
    common *= np.maximum(high, 0, out=high)
    union = np.add.outer(areas[better], areas[others])
    union -= common
    union *= np.float32(iou)
    found: Array = common > union
    if groups is not None:
        found &= np.equal.outer(groups[better], groups[others])
    return found


def sigmoid(logits: Array) -> npt.NDArray[np.float32]:
    """Scores of logits, without overflow on either side."""
    power = np.exp(-np.abs(logits))
    return np.asarray(np.where(logits >= 0, 1, power) / (1 + power), np.float32)


def rows_of(boxes: Boxes, count: int) -> npt.NDArray[np.float32]:
    """Boxes as the canonical output of an artifact that makes them, float32 [count, 6]."""
    found = np.zeros((count, 6), np.float32)
    found[:, 5] = -1
    number = min(len(boxes), count)
    found[:number, :4] = boxes.corners[:number]
    found[:number, 4] = boxes.scores[:number]
    found[:number, 5] = boxes.classes[:number]
    return found


def of_rows(rows: Array, floor: float) -> Boxes:
    """The reverse: the boxes in such an output [M, 6] whose score is at the floor or over it.

    What is no number, and a class that is no whole number, gives no box and is counted.
    """
    rows = np.asarray(rows, np.float32)
    rows = rows[~(rows[:, 5] < 0)]
    finite = np.isfinite(rows).all(axis=1)
    right = finite & (rows[:, 5] == np.floor(rows[:, 5])) & (rows[:, 5] < _CLASSES)
    good = rows[right]
    good = good[good[:, 4] >= floor]
    good = good[np.argsort(-good[:, 4], kind="stable")]
    return Boxes(good[:, :4].copy(), good[:, 4].copy(), good[:, 5].astype(np.int64), int((~right).sum()))

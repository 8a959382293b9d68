"""Boxes that an engine gives, in one form, and how far the boxes of two runs are from each other.

The form is that of a bundle's output ``detections``: float32 [N, boxes, 6], each left, top, right and bottom
in pixels of the input, score and class, the best first; empty places have score 0 and class -1.
Python 3.8 and numpy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

#: The output of a bundle, and what its meaning is called in the manifest.
DETECTIONS = "detections"
#: What the plugin EfficientNMS_TRT gives, in its order.
PLUGIN = ("num_detections", "detection_boxes", "detection_scores", "detection_classes")
#: Of a row: image, class, score, x1, y1, x2, y2.
COLUMNS = 7
#: Boxes that overlap by less are not the same one.
SAME = 0.5


def canonical(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs of an engine that gives boxes as ``detections``; those of any other as they are.

    Args:
        outputs: By name, [N, ...] each: the four of the plugin; or rows [N, boxes, 7] (:func:`of_rows`).
    """
    if set(outputs) == set(PLUGIN):
        return {DETECTIONS: of_plugin(*(outputs[name] for name in PLUGIN))}
    rows = outputs.get(DETECTIONS)
    if len(outputs) == 1 and rows is not None and rows.ndim == 3 and rows.shape[-1] == COLUMNS:
        return {DETECTIONS: of_rows(rows, len(rows))}
    return dict(outputs)


def of_plugin(count: Any, corners: Any, scores: Any, classes: Any) -> Any:
    """The plugin's four outputs, of boxes y1, x1, y2, x2, as ``detections``; behind the count is nothing."""
    images, most = scores.shape
    found = _nothing(images, most)
    for image in range(images):
        number = int(min(max(int(count.reshape(-1)[image]), 0), most))
        best = np.argsort(-scores[image, :number], kind="stable")
        found[image, :number, :4] = corners[image, best][:, [1, 0, 3, 2]]
        found[image, :number, 4] = scores[image, best]
        found[image, :number, 5] = classes[image, best]
    return found


def of_rows(rows: Any, images: int, scale: Any = (1.0, 1.0)) -> Any:
    """Rows of image, class, score, x1, y1, x2, y2 as ``detections``.

    Args:
        rows: Of all images of a run together, [..., 7]; nothing behind a negative image counts.
        images: How many a run had; there is as much room for each.
        scale: Width and height of what is 1 in the rows, pixels.
    """
    table = np.asarray(rows, np.float32).reshape(-1, COLUMNS)
    found = _nothing(images, len(table) // images)
    ends = np.flatnonzero(table[:, 0] < 0)
    if len(ends):
        table = table[: ends[0]]
    for image in range(images):
        own = table[table[:, 0] == image]
        own = own[np.argsort(-own[:, 2], kind="stable")][: found.shape[1]]
        found[image, : len(own), :4] = own[:, 3:] * np.array([*scale, *scale], np.float32)
        found[image, : len(own), 4:] = own[:, [2, 1]]
    return found


def _nothing(images: int, most: int) -> Any:
    found = np.zeros((images, most, 6), np.float32)
    found[..., 5] = -1
    return found


def paired(expected: Any, found: Any) -> tuple[Any, Any]:
    """Two ``detections`` [N, boxes, 6] as vectors whose difference is the error: scores of one box each.

    A box is the same in both where it is of one class and they overlap by :data:`SAME` at least, the best
    first. What is found then counts its score times the overlap (IoU); what is not there counts 0.

    Returns:
        float64 [N, M] each: a box for each place, those that only ``found`` has behind the others.
    """
    parts = [_pair(*both) for both in zip(expected, found)]  # noqa: B905 (Python 3.8)
    width = max([len(own) for own, _ in parts], default=0)
    vectors = np.zeros((2, len(parts), max(width, 1)))
    for image, both in enumerate(parts):
        for side, values in enumerate(both):
            vectors[side, image, : len(values)] = values
    return vectors[0], vectors[1]


def _pair(expected: Any, found: Any) -> tuple[Any, Any]:
    """Of one image."""
    expected, found = (np.asarray(rows[rows[:, 5] >= 0], np.float64) for rows in (expected, found))
    own, other = expected[:, 4], np.zeros(len(expected))
    free = np.ones(len(found), bool)
    for place in np.argsort(-own, kind="stable"):
        overlap = np.where(free & (found[:, 5] == expected[place, 5]), _iou(expected[place], found), 0)
        if len(overlap) and overlap.max() >= SAME:
            best = int(overlap.argmax())
            free[best] = False
            other[place] = found[best, 4] * overlap[best]
    rest = found[free, 4]
    return np.concatenate([own, np.zeros(len(rest))]), np.concatenate([other, rest])


def _iou(box: Any, others: Any) -> Any:
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:4], others[:, 2:4])
    common = np.clip(high - low, 0, None).prod(axis=1)
    areas = [(each[..., 2:4] - each[..., :2]).prod(axis=-1) for each in (box, others)]
    return common / np.maximum(areas[0] + areas[1] - common, 1e-12)


def agreement(expected: Any, found: Any, threshold: float) -> float:
    """The share of images on which both show the same boxes at an operating threshold.

    A box at the threshold in one that is somewhat under it in the other is no disagreement: it has to be
    there with half the threshold.
    """
    own, other = paired(expected, found)
    missed = (own >= threshold) & (other < threshold / 2) | (other >= threshold) & (own < threshold / 2)
    return float((~missed.any(axis=1)).mean())

"""Which boxes of two lists are the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgeeff.detection.boxes import Boxes

Array = npt.NDArray[Any]
#: Two boxes with at least this intersection over union are of the same thing.
SAME = 0.5


def ious(one: Array, other: Array) -> npt.NDArray[np.float64]:
    """Intersection over union of each box of one list with each of another, float64 [K, L].

    Args:
        one: [K, 4]: left, top, right and bottom. A box without an area overlaps nothing.
        other: [L, 4].
    """
    a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(axis=2)
    areas = (np.clip(box[:, 2:] - box[:, :2], 0, None).prod(axis=1) for box in (a, b))
    first, second = areas
    union = first[:, None] + second[None] - common
    found: npt.NDArray[np.float64] = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    return found


def paired(one: Boxes, other: Boxes) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Two lists as vectors whose difference is the error of the second, float64 [M] each.

    A box of ``one`` counts its score; its match in the other counts its own times their overlap (IoU), and 0
    where there is none. Behind them stand the boxes of ``other`` that are nobody's match, with 0 for ``one``.
    The golden check of a bundle goes by the same.
    """
    pairs = matched(one, other)
    found, there = np.zeros(len(one)), pairs >= 0
    overlaps = ious(one.corners[there], other.corners[pairs[there]]).diagonal()
    found[there] = other.scores[pairs[there]] * overlaps
    rest = np.delete(other.scores, pairs[there]).astype(np.float64)
    return np.r_[one.scores, np.zeros(len(rest))], np.r_[found, rest]


def matched(one: Boxes, other: Boxes, iou: float = SAME) -> npt.NDArray[np.int64]:
    """For each box of one list the number of its match in the other, or −1; int64 [K].

    A match has the same class and at least that intersection over union. The best box of ``one`` chooses
    first, and takes the box that overlaps it most; none is taken twice.
    """
    found = np.full(len(one), -1, np.int64)
    if not len(one) or not len(other):
        return found
    free = np.where(one.classes[:, None] == other.classes[None], ious(one.corners, other.corners), -1.0)
    for number in np.argsort(-one.scores, kind="stable"):
        best = int(free[number].argmax())
        if free[number, best] >= iou:
            found[number] = best
            free[:, best] = -1.0
    return found

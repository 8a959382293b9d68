"""Which anchor is to find which box: what a detector's outputs are compared with while it learns.

google/automl, efficientdet/tf2/anchors.py (``AnchorLabeler``), and effdet, ``anchors.py``: an anchor is for
the box that it overlaps most, from an IoU of 0.5 on, and background below; there is no gap between the two.
A box that no anchor overlaps so far gets the anchor that overlaps it most, so that every box is learnt.

Two things differ, both where the authors' code would teach what is wrong. A box that touches no anchor at all
gets none, where theirs gives it the first one. And anchors on a crowd, or on what is left of a box that was
nearly cut off, are left out of the loss, where theirs are background.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeeff.detection import Geometry, ious
from edgeeff.detection.decoding import codes_of

Array = npt.NDArray[Any]
#: An anchor with at least this IoU with a box is for it.
MATCHED = 0.5
#: Classes of anchors that are for no box.
BACKGROUND, IGNORED = -1, -2
#: Pairs of a box and an anchor that are compared at a time.
_TOGETHER = 1 << 20


@dataclass(frozen=True)
class Targets:
    """What one image's outputs should be.

    Args:
        classes: Of each anchor, int64 [A]: its box's class, −1 background, −2 not to be looked at.
        anchors: Numbers of the anchors that are for a box, int64 [P], ascending.
        codes: What these anchors' codes should be, float32 [P, 4].
    """

    classes: npt.NDArray[np.int64]
    anchors: npt.NDArray[np.int64]
    codes: npt.NDArray[np.float32]


def targets(corners: Array, classes: Array, ignored: Array, geometry: Geometry) -> Targets:
    """What a detector should give for an image.

    Args:
        corners: Boxes, float [K, 4]: left, top, right and bottom in pixels of the input; none is empty.
        classes: Of each box, int64 [K].
        ignored: bool [K]: boxes that are neither to be found nor background: crowds.
        geometry: The anchors.
    """
    found = np.full(geometry.count, BACKGROUND, np.int64)
    places = geometry.anchors()[:, [1, 0, 3, 2]]
    if ignored.any():
        found[_within(places, corners[ignored])] = IGNORED
    kept, which = corners[~ignored], classes[~ignored]
    box = _assigned(kept, places)
    anchors = np.flatnonzero(box >= 0)
    found[anchors] = which[box[anchors]]
    return Targets(found, anchors, codes_of(kept[box[anchors]], geometry.centres()[anchors]))


def _assigned(corners: Array, places: Array) -> npt.NDArray[np.int64]:
    """The box of each anchor, or −1, int64 [A]."""
    best = np.full(len(places), -1, np.int64)
    overlap = np.full(len(places), MATCHED)
    wanted: list[tuple[int, int]] = []
    step = max(1, _TOGETHER // len(places))
    for start in range(0, len(corners), step):
        shared = ious(corners[start : start + step], places)
        highest, first = shared.max(axis=0), shared.argmax(axis=0)
        # Of equal overlaps the first box has the anchor.
        better = (highest > overlap) | ((best < 0) & (highest >= overlap))
        best[better], overlap[better] = first[better] + start, highest[better]
        nearest = shared.argmax(axis=1)
        reach = shared[np.arange(len(shared)), nearest]
        wanted += [(start + i, int(nearest[i])) for i in np.flatnonzero(reach > 0).tolist()]
    for number, anchor in reversed(wanted):  # so that the first of two boxes has it, as in the authors' code
        best[anchor] = number
    return best


def _within(places: Array, corners: Array) -> npt.NDArray[np.bool_]:
    """Which anchors lie half or more within one of the boxes, bool [A]."""
    found = np.zeros(len(places), np.bool_)
    areas = (places[:, 2:] - places[:, :2]).prod(axis=1)
    for box in corners:
        low, high = np.maximum(places[:, :2], box[:2]), np.minimum(places[:, 2:], box[2:])
        found |= np.clip(high - low, 0, None).prod(axis=1) >= areas / 2
    return found

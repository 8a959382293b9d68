"""COCO's figures of boxes, by hotcoco: average precision and recall, by IoU, by size and by class."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeeff.detection.judging import Sample
from edgeeff.errors import MissingRuntimeError
from edgeeff.installing import install_line

Array = npt.NDArray[Any]
#: Sizes of things by their area in square pixels: all, under 32², to 96², larger; and boxes of an image.
_ALL, _SIZES = 0, {"small": 1, "medium": 2, "large": 3}
_ONE, _TEN, _HUNDRED = 0, 1, 2


@dataclass(frozen=True)
class Figures:
    """What the protocol gives; NaN where there is nothing to judge by.

    Args:
        means: By name: ``map``, ``map_50``, ``map_75``, ``map_small`` …, ``ar_1``, ``ar_10``, ``ar_100``, …
        by_class: float64 [C, 2]: average precision over all IoUs, and at 0.5.
    """

    means: Mapping[str, float]
    by_class: npt.NDArray[np.float64]


def refuse_missing() -> None:
    """Refuse to begin where hotcoco is not installed.

    Raises:
        MissingRuntimeError: It is not.
    """
    try:
        import hotcoco
    except ModuleNotFoundError:
        raise MissingRuntimeError(
            "mean average precision of boxes needs hotcoco, which is not installed",
            mend=f"install it: {install_line('detection')}",
        ) from None
    del hotcoco


def figures(sample: Sample, classes: int) -> Figures:
    """The figures of many images' boxes.

    Args:
        sample: The boxes, and what is known.
        classes: Of the network.

    Raises:
        MissingRuntimeError: hotcoco is not installed.
    """
    refuse_missing()
    from hotcoco import COCO, COCOeval

    # Neither names nor sizes of photos are looked at; ids count from 1, as 0 means none to some.
    images = [
        {"id": number + 1, "file_name": "", "width": 1, "height": 1} for number in range(len(sample.numbers))
    ]
    categories = [{"id": number + 1, "name": str(number)} for number in range(classes)]
    known = COCO.from_arrays(
        images,
        categories,
        sample.known_image + 1,
        sample.known_classes + 1,
        _sides(sample.known_corners),
        ids=np.arange(1, len(sample.crowd) + 1),
        area=sample.areas.astype(np.float64),
        iscrowd=sample.crowd.astype(np.int64),
    )
    rows = np.column_stack(
        [sample.image + 1, _sides(sample.corners), sample.scores.astype(np.float64), sample.classes + 1]
    )
    judged = COCOeval(known, known.load_res(np.ascontiguousarray(rows, np.float64)), "bbox")
    judged.evaluate()
    judged.accumulate()
    found = judged.eval
    assert found is not None
    return _figures(np.asarray(found["precision"]), np.asarray(found["recall"]))


def _sides(corners: Array) -> npt.NDArray[np.float64]:
    """Left, top, width and height."""
    found = corners.astype(np.float64)
    return np.ascontiguousarray(np.column_stack([found[:, :2], found[:, 2:] - found[:, :2]]))


def _figures(precision: Array, recall: Array) -> Figures:
    """From precision [IoUs, recalls, classes, sizes, counts] and recall without the second; −1 is unknown."""
    means = {
        "map": _mean(precision[:, :, :, _ALL, _HUNDRED]),
        "map_50": _mean(precision[0, :, :, _ALL, _HUNDRED]),
        "map_75": _mean(precision[5, :, :, _ALL, _HUNDRED]),
    }
    for name, place in _SIZES.items():
        means[f"map_{name}"] = _mean(precision[:, :, :, place, _HUNDRED])
    for count, place in ((1, _ONE), (10, _TEN), (100, _HUNDRED)):
        means[f"ar_{count}"] = _mean(recall[:, :, _ALL, place])
    for name, place in _SIZES.items():
        means[f"ar_{name}"] = _mean(recall[:, :, place, _HUNDRED])
    each = [
        (_mean(precision[:, :, cls, _ALL, _HUNDRED]), _mean(precision[0, :, cls, _ALL, _HUNDRED]))
        for cls in range(precision.shape[2])
    ]
    return Figures(means, np.array(each, np.float64).reshape(-1, 2))


def _mean(values: Array) -> float:
    known = values[values > -1]
    return float(known.mean()) if known.size else math.nan

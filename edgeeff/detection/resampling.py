"""Mean average precision of images drawn with replacement, and how much two networks' differ by.

The images are drawn anew as :mod:`edgeeff.bootstrap` says. Matching does not hang on which images are drawn;
what is left for each draw is arithmetic on the boxes that are right.

The interval is the difference on these images ± 1.96 standard deviations of the draws' differences. With few
images average precision is too high, and of images that stand in a draw several times higher still, so the
draws' own percentiles lie beside the difference: they held the true one in 87 to 93 % of simulated cases of
67 images, this interval in 94 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeeff import bootstrap
from edgeeff.bootstrap import Loss
from edgeeff.detection.judging import IOUS, Judged

Array = npt.NDArray[Any]
#: Recalls at which precision is looked at.
RECALLS = np.linspace(0.0, 1.0, 101)


class Ranking:
    """Boxes of one network, prepared so that the average of any weights of the images is soon there.

    Args:
        judged: Its boxes.
        classes: Of the network.
    """

    def __init__(self, judged: Judged, classes: int) -> None:
        self._judged, self._classes = judged, classes
        self._starts = np.searchsorted(judged.classes, np.arange(classes))
        levels, places = np.nonzero(judged.right.T)  # IoU by IoU, in each the order of the boxes
        self._places = places
        self._groups = levels * classes + judged.classes[places]
        self._begins = np.searchsorted(self._groups, np.arange(len(IOUS) * classes))
        self._first = np.zeros(len(places), np.bool_)
        self._first[self._begins[self._begins < len(places)]] = True
        self._first[1:] &= np.diff(self._groups) != 0
        self._lead = self._begins[self._groups] if len(places) else places
        self._left_out = _LeftOut.of(judged, places, levels, self._starts)

    @cached_property
    def _whole(self) -> Array:
        return self.averages(np.ones(self._judged.images))

    @property
    def mean(self) -> float:
        """Mean average precision of the images, each once; NaN where no class has a truth."""
        return _mean(self._whole)

    def averages(self, weights: Array) -> npt.NDArray[np.float64]:
        """Average precision by IoU and class, float64 [10, C]; NaN of classes without a truth.

        Args:
            weights: How often each image is there, [N].
        """
        judged, shape = self._judged, (len(IOUS), self._classes)
        truths = np.bincount(judged.known_classes, weights[judged.known_image], self._classes)
        found = np.full(shape, np.nan)
        found[:, truths > 0] = 0.0
        if not len(self._places):
            return found
        each = weights[judged.image]
        boxes = np.concatenate([[0.0], np.cumsum(each)])
        classes = judged.classes[self._places]
        seen = boxes[self._places + 1] - boxes[self._starts[classes]] - self._left_out.weight(each)
        right = np.cumsum(each[self._places])
        right -= (right - each[self._places])[self._lead]
        precision = np.divide(right, seen, out=np.zeros_like(right), where=seen > 0)
        # From the last box to the first, group by group: what a later box reaches holds for earlier recalls.
        lifted = precision[::-1] + 2.0 * (len(IOUS) * self._classes - self._groups[::-1])
        best = np.maximum.accumulate(lifted)[::-1] - 2.0 * (len(IOUS) * self._classes - self._groups)
        recall = np.divide(right, truths[classes], out=np.zeros_like(right), where=truths[classes] > 0)
        reached = np.searchsorted(RECALLS, recall, side="right")
        before = np.where(self._first, 0, np.concatenate([[0], reached[:-1]]))
        sums = np.bincount(self._groups, best * (reached - before), len(IOUS) * self._classes)
        found[:, truths > 0] = sums.reshape(shape)[:, truths > 0] / len(RECALLS)
        return found


@dataclass(frozen=True)
class _LeftOut:
    """Boxes that count for nothing at some IoU, as they overlap a crowd alone.

    Args:
        places: Of these boxes, IoU by IoU, int64 [K].
        upto: For each right box how many of them stand before it or in an earlier group.
        since: The same of the first box of its group.
    """

    places: Array
    upto: Array
    since: Array

    @classmethod
    def of(cls, judged: Judged, right: Array, levels: Array, starts: Array) -> _LeftOut:
        own_levels, places = np.nonzero(judged.ignored.T)
        span = len(judged.scores) + 1
        keys = own_levels * span + places
        upto = np.searchsorted(keys, levels * span + right)
        since = np.searchsorted(keys, levels * span + starts[judged.classes[right]])
        return cls(places, upto, since)

    def weight(self, each: Array) -> Array | float:
        """What they weigh before each right box, within its group."""
        if not len(self.places):
            return 0.0
        sums = np.concatenate([[0.0], np.cumsum(each[self.places])])
        return np.asarray(sums[self.upto] - sums[self.since])


def loss(before: Ranking, after: Ranking, images: int, draws: int | None = None) -> Loss | None:
    """Hold one network against another on the same images; None where no class has a truth.

    Args:
        before: What is held against.
        after: What may be worse.
        images: How many both were judged on.
        draws: How often they are drawn; None: :data:`edgeeff.bootstrap.DRAWS`.
    """
    points = 100.0 * (before.mean - after.mean)
    if not np.isfinite(points) or not images:
        return None
    weights = bootstrap.drawn(images, draws)
    return bootstrap.loss(
        points, (_mean(before.averages(w)) - _mean(after.averages(w)) for w in weights), images
    )


def standard_error(ranking: Ranking, images: int, draws: int | None = None) -> float:
    """How much a network's mean average precision would move with other images, percentage points.

    Args:
        ranking: Its boxes.
        images: How many it was judged on.
        draws: How often they are drawn; None: :data:`edgeeff.bootstrap.DRAWS`.
    """
    return bootstrap.standard_error(_mean(ranking.averages(w)) for w in bootstrap.drawn(images, draws))


def _mean(averages: Array) -> float:
    known = averages[np.isfinite(averages)]
    return float(known.mean()) if len(known) else float("nan")

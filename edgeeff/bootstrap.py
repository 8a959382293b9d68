"""How much lower a score of many images is than another network's, where it is no share of images.

A share of images has an interval by its counts; average precision and mean IoU have none. So the images are
drawn anew many times with replacement, the same ones for both networks, and the spread of the difference is
looked at (a paired bootstrap; Efron and Tibshirani 1993, chapter 13).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

#: Draws, and their seed: the same images give the same interval.
DRAWS, SEED = 300, 20
#: Two-sided 95 % of the normal distribution, and one-sided.
_BOTH, _UPPER = 1.960, 1.645
#: Points: what one image, of which nothing can be drawn, leaves open.
_OPEN = 100.0


@dataclass(frozen=True)
class Loss:
    """How much lower one network's score is than another's, on the same images.

    Args:
        points: On these images, percentage points; below 0 it is higher.
        low: Of the 95 % interval, points.
        high: The same.
        bound: The upper 95 % bound (one-sided), points.
        p_worse: How likely chance alone gives such a loss: small where it is worse.
        p_better: The same of such a gain.
        images: That both were judged on.
        draws: How often images were drawn.
    """

    points: float
    low: float
    high: float
    bound: float
    p_worse: float
    p_better: float
    images: int
    draws: int

    @property
    def half(self) -> float:
        """Half of the interval's width, points."""
        return (self.high - self.low) / 2

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "points": self.points,
            "interval": [self.low, self.high],
            "bound": self.bound,
            "images": self.images,
            "draws": self.draws,
        }


def drawn(images: int, draws: int | None = None) -> Iterator[npt.NDArray[np.float64]]:
    """How often each image stands in each draw, float64 [images].

    Args:
        images: How many there are.
        draws: How often they are drawn; None: :data:`DRAWS`.
    """
    generator = np.random.default_rng(SEED)
    for _ in range(DRAWS if draws is None else draws):
        yield np.bincount(generator.integers(0, images, images), minlength=images).astype(np.float64)


def loss(points: float, differences: Iterable[float], images: int) -> Loss | None:
    """The loss with its interval: the difference ± 1.96 standard deviations of the draws' differences.

    None where no draw has a score.

    Args:
        points: The difference on the images themselves, percentage points.
        differences: Of each draw, 0…1; what is no number is left out.
        images: How many there are.
    """
    spread = 100.0 * np.array([value for value in differences if np.isfinite(value)])
    if not len(spread):
        return None
    error = float(spread.std(ddof=1)) if images > 1 and len(spread) > 1 else _OPEN
    far = points / error if error else math.copysign(math.inf, points) if points else 0.0
    ends = (points - _BOTH * error, points + _BOTH * error, points + _UPPER * error)
    return Loss(points, *ends, _chance(far), _chance(-far), images, len(spread))


def standard_error(scores: Iterable[float]) -> float:
    """Of a score, percentage points, by what it is of each draw; NaN of fewer than two."""
    known = [value for value in scores if np.isfinite(value)]
    return 100.0 * float(np.std(known, ddof=1)) if len(known) > 1 else float("nan")


def _chance(far: float) -> float:
    """How often the normal distribution lies so many standard deviations above its mean."""
    return 0.5 * math.erfc(far / math.sqrt(2))

"""Since which run a figure is another one: change points of a track, and the commits between which each came.

PELT with the squared error (ruptures) on the logarithms of the figures over σ, which the median of their
differences gives, so that neither a step nor an outlier is taken for noise. A figure that lies more than 3 σ
from the median of its neighbours is moved there first: of runs with outliers the search says a change in
every second track otherwise (``python -m benchmarks.history``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeeff.history.finding import Point, Track, plain

#: Runs on either side of a change at least.
LEAST = 4
#: A smaller step is no change.
STEP = 0.01
#: A change has to be worth so much of ln(runs), in σ².
PENALTY = 6.0
#: The noise up to which 1 % of the rows without a step show one at most, and a step of 3 % is found in 95 %
#: (``python -m benchmarks.history steps``): a standard deviation, as a part.
QUIET = 0.007
#: The newest runs that are looked at.
MOST = 2000
_CLIP = 3.0
_NEIGHBOURS = 4
#: Of what is larger, or no number, no mean can be taken.
_LARGEST = 1e300

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Change:
    """A step of a track.

    Args:
        place: Of the first run at the new level, among the track's points.
        before: Median of the level before it, in the track's unit.
        after: Median of the level from it on.
        step: The change as a part of the size of ``before``: 0.03 is 3 % more, of a figure below 0 too.
        last: The last run at the old level.
        first: The first run at the new level. The change came after ``last``'s commit, by ``first``'s.
    """

    place: int
    before: float
    after: float
    step: float
    last: Point
    first: Point

    @property
    def range(self) -> tuple[str | None, str | None]:
        """The commits after which, and by which, it came; None where a run bears none."""
        return self.last.commit, self.first.commit

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        ends = {"last": self.last.to_json(), "first": self.first.to_json()}
        figures = {"before": self.before, "after": self.after, "step": plain(self.step)}
        return {**figures, "commit_range": list(self.range), **ends}


def changes(track: Track) -> list[Change]:
    """The steps of a track, the oldest first; none of fewer than eight runs with a figure."""
    kept, values = _figures(track)
    ends = [0, *steps(values), len(values)]
    found = []
    for start, place, end in zip(ends, ends[1:-1], ends[2:], strict=False):
        before, after = float(np.median(values[start:place])), float(np.median(values[place:end]))
        step = (after - before) / abs(before) if before else math.inf
        last, first = track.points[kept[place - 1]], track.points[kept[place]]
        found.append(Change(kept[place], before, after, step, last, first))
    return found


def noise(track: Track) -> float | None:
    """By how much runs without a step differ: a standard deviation, as a part; None of too few runs."""
    _, values = _figures(track)
    return _sigma(_levels(values)) if len(values) >= 2 * LEAST else None


def _figures(track: Track) -> tuple[list[int], Values]:
    """The newest points that have a figure, by their places, and the figures."""
    kept = [
        i for i, point in enumerate(track.points) if point.value is not None and abs(point.value) < _LARGEST
    ][-MOST:]
    return kept, np.array([track.points[i].value for i in kept], np.float64)


def _levels(values: Values) -> Values:
    """On a scale on which differences are parts."""
    return np.log(values) if values.min() > 0 else values / (np.median(np.abs(values)) or 1.0)


def steps(values: Values) -> list[int]:
    """Where a new level begins in a row of figures, each step 1 % or more.

    Args:
        values: Finite, in the order of time.
    """
    if len(values) < 2 * LEAST:
        return []
    from ruptures import KernelCPD

    levels = _levels(values)
    sigma = max(_sigma(levels), 1e-4)
    # The linear kernel is the squared error, and its PELT is compiled: 300 times as fast, the same places.
    search = KernelCPD(kernel="linear", min_size=LEAST, jump=1)
    search.fit((_without_outliers(levels, sigma) / sigma)[:, None])
    places = search.predict(pen=PENALTY * math.log(len(values)))[:-1]
    return _large_enough(levels, [int(place) for place in places])


def _large_enough(levels: Values, places: list[int]) -> list[int]:
    """The places without those of too small a step, the smallest first: its two levels become one."""
    while places:
        ends = [0, *places, len(levels)]
        medians = [float(np.median(levels[a:b])) for a, b in pairwise(ends)]
        sizes = [abs(b - a) for a, b in pairwise(medians)]
        smallest = int(np.argmin(sizes))
        if sizes[smallest] >= math.log1p(STEP):
            break
        places = places[:smallest] + places[smallest + 1 :]
    return places


def _sigma(levels: Values) -> float:
    """Standard deviation of the noise: of differences, so that levels do not count."""
    differences = np.diff(levels)
    spread = np.median(np.abs(differences - np.median(differences)))
    return float(1.4826 * spread / math.sqrt(2))


def _without_outliers(levels: Values, sigma: float) -> Values:
    padded = np.pad(levels, _NEIGHBOURS, constant_values=np.nan)
    around = np.nanmedian(np.lib.stride_tricks.sliding_window_view(padded, 2 * _NEIGHBOURS + 1), axis=1)
    return np.clip(levels, around - _CLIP * sigma, around + _CLIP * sigma)

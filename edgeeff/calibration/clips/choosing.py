"""Which frames calibrate: those that lie farthest from one another; and which of them are held out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgeeff.calibration.clips.looking import ALIKE, F32

#: Scenes from which on whole ones are held out. Of fewer each one is a part of the domain that calibration
#: cannot do without, such as night.
ENOUGH = 5


def farthest(regions: F32, count: int, seed: int) -> list[int]:
    """Frames, each the farthest from all before it (Gonzalez 1985), in order of their places.

    The first is the one nearest to the mean, or of a seed that is not 0 a random one. There are fewer than
    asked for where all others are like one of them.

    Args:
        regions: float32 [N, values], in levels of 0…255.
        count: How many at most.
        seed: Of the first.
    """
    if not len(regions):
        return []
    first = int(np.argmin(_squares(regions, regions.mean(0))))
    if seed:
        first = int(np.random.default_rng(seed).integers(len(regions)))
    chosen, near = [first], _squares(regions, regions[first])
    while len(chosen) < count:
        farthest = int(np.argmax(near))
        if near[farthest] < ALIKE**2:
            break
        chosen.append(farthest)
        near = np.minimum(near, _squares(regions, regions[farthest]))
    return sorted(chosen)


def held_out(scenes: npt.NDArray[np.int64], share: int) -> npt.NDArray[np.bool_]:
    """Which of some frames, in order, judge: one of ``share``, as nearly as whole scenes allow.

    Where there are fewer than :data:`ENOUGH` scenes, the last frames of each one judge.
    """
    names, sizes = np.unique(scenes, return_counts=True)
    if len(names) < ENOUGH:
        judges = np.zeros(len(scenes), bool)
        for name in names:
            places = np.flatnonzero(scenes == name)
            judges[places[len(places) - len(places) // share :]] = True
        if not judges.any() and len(scenes) > 1:
            judges[-1] = True
        return judges
    # In the order in which they are first seen, so that held-out scenes are spread over the clips.
    order = sorted(range(len(names)), key=lambda i: int(np.argmax(scenes == names[i])))
    held: list[int] = []
    seen = judged = 0
    for i in order:
        seen += sizes[i]
        if judged + sizes[i] / 2 <= seen / share:
            held.append(i)
            judged += sizes[i]
    return np.asarray(np.isin(scenes, names[held or [int(np.argmin(sizes))]]))


def _squares(regions: F32, one: F32) -> F32:
    """The mean squared difference of each from one."""
    return np.asarray(np.mean((regions - one) ** 2, axis=1), np.float32)

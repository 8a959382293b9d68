"""A detector or segmenter against the float network on images with known boxes or masks, batch by batch.

Outputs of these are large, so nothing of them is kept but two sums for each image, and what is scored.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgeeff.metrics import Array
from edgeeff.quantization.budget import Judged, level
from edgeeff.tasks import Drawn, Meaning, Outputs, Scorer, drawn

#: Draws of the images: a search looks some ten times.
DRAWS = 200


class Levels:
    """How near outputs are to the float network's: two sums for each image and output are kept."""

    def __init__(self) -> None:
        self.images = 0
        self._signal: dict[str, list[Array]] = {}
        self._noise: dict[str, list[Array]] = {}

    def update(self, float_outputs: Outputs, outputs: Outputs) -> None:
        """Add a batch, [N, …] each; outputs that only one of both has are left out."""
        images = len(next(iter(float_outputs.values())))
        self.images += images
        for name in float_outputs:
            if name in outputs:
                values = float_outputs[name].reshape(images, -1).astype(np.float64)
                error = outputs[name].reshape(images, -1) - values
                self._signal.setdefault(name, []).append(np.square(values).sum(1))
                self._noise.setdefault(name, []).append(np.square(error).sum(1))

    def judged(self, photos: Array | None = None) -> Judged:
        """The SQNR of the worst output; ``photos`` as of :func:`edgeeff.quantization.budget.judge`."""
        levels = [
            level(np.concatenate(signal), np.concatenate(self._noise[name]), photos)
            for name, signal in self._signal.items()
        ]
        return Judged(self.images, *min(levels, key=lambda one: one[0], default=(float("nan"), float("inf"))))


class BoxJudge:
    """What is found out about a quantised detector or segmenter.

    Args:
        meaning: Of the outputs.
        classes: Of the network.
    """

    def __init__(self, meaning: Meaning, classes: int) -> None:
        self._levels = Levels()
        self._before, self._after = (meaning.scorer(classes, name) for name in ("float", "quantised"))

    def update(self, float_outputs: Outputs, outputs: Outputs, known: Array) -> None:
        """Add a batch.

        Args:
            float_outputs: Of the float network, [N, …] each.
            outputs: Of what is judged: the same, or boxes where its runtime makes them.
            known: The boxes or mask of each image, an array of objects.
        """
        self._before.update(float_outputs, known)
        self._after.update(outputs, known)
        self._levels.update(float_outputs, outputs)

    def judged(self) -> Judged:
        """The SQNR of the worst output, and how much the metric that decides is lower."""
        found = self._levels.judged()
        before, after = _scores(self._before), _scores(self._after)
        lost = None if before is None or after is None else after.lost(before, DRAWS)
        if lost is None:
            return found
        # Where no draw differs, the rule of three bounds how many of all images could.
        half = max(lost.half, 100.0 * 3 / lost.images if lost.low == lost.high else 0.0)
        return replace(found, drop=lost.points, drop_error=half)


def _scores(scorer: Scorer) -> Drawn | None:
    return drawn(scorer.scores())

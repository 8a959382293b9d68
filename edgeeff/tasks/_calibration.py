"""Whether a network is as often right as it is sure: the expected calibration error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeeff.metrics import json_number

Array = npt.NDArray[Any]
#: Of equal width, as in Guo et al., On Calibration of Modern Neural Networks, ICML 2017.
BINS = 15


@dataclass(frozen=True)
class Calibration:
    """Images by the probability of the class that is decided.

    Args:
        images: int64 [bins], how many have a probability in each bin; bin i holds i/bins < p ≤ (i + 1)/bins.
        right: int64 [bins], how many of these are decided rightly.
        probability: float64 [bins], the sum of these probabilities.
    """

    images: Array
    right: Array
    probability: Array

    @property
    def error(self) -> float:
        """Σ images/N · |share of right − mean probability|, 0…1; NaN of no image."""
        total = int(self.images.sum())
        return float(np.abs(self.right - self.probability).sum() / total) if total else float("nan")

    @property
    def mean(self) -> float:
        """The mean probability of what is decided, 0…1; NaN of no image."""
        total = int(self.images.sum())
        return float(self.probability.sum() / total) if total else float("nan")

    def to_json(self) -> dict[str, Any]:
        """As plain data, with the bins of a reliability diagram."""
        bins = [
            {
                "upto": (i + 1) / len(self.images),
                "images": int(count),
                "accuracy": float(self.right[i] / count) if count else None,
                "probability": float(self.probability[i] / count) if count else None,
            }
            for i, count in enumerate(self.images)
        ]
        return {"error": json_number(self.error), "mean_probability": json_number(self.mean), "bins": bins}


class CalibrationSums:
    """Batch by batch."""

    def __init__(self) -> None:
        self._counts = np.zeros((2, BINS), np.int64)
        self._sums = np.zeros(BINS)

    def update(self, probabilities: Array, truth: Array) -> None:
        """Add a batch, without images that have NaN in them: probabilities [N, classes], classes [N]."""
        values = np.asarray(probabilities, np.float64)
        decided = values.argmax(axis=1)
        sure = values[np.arange(len(values)), decided]
        known = ~np.isnan(sure)
        sure, right = np.clip(sure[known], 0.0, 1.0), (decided == truth)[known]
        places = np.clip(np.ceil(sure * BINS).astype(np.int64) - 1, 0, BINS - 1)
        self._counts[0] += np.bincount(places, minlength=BINS)
        self._counts[1] += np.bincount(places[right], minlength=BINS)
        self._sums += np.bincount(places, weights=sure, minlength=BINS)

    def state(self) -> dict[str, Array]:
        """All that was added."""
        return {"calibration": self._counts.copy(), "sure": self._sums.copy()}

    def add(self, state: Mapping[str, Array]) -> None:
        """Add what another one had seen.

        Raises:
            ValueError: It has other bins.
        """
        counts, sums = state["calibration"], state["sure"]
        if counts.shape != self._counts.shape or sums.shape != self._sums.shape:
            raise ValueError(f"a state of {counts.shape} for {BINS} bins")
        self._counts, self._sums = self._counts + counts, self._sums + sums

    def found(self) -> Calibration:
        """Of all batches."""
        return Calibration(self._counts[0].copy(), self._counts[1].copy(), self._sums.copy())

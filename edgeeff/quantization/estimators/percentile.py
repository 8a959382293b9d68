"""All but a small share of the values at each end fit."""

from __future__ import annotations

import numpy as np

from edgeeff.quantization.estimators import Grid, Sample


def estimate(sample: Sample, low: float, high: float, grid: Grid) -> tuple[float, float]:
    """The range without ``sample.tail`` of the values at each end."""
    share = np.cumsum(sample.counts) / sample.counts.sum()
    last = len(sample.values) - 1
    below = float(sample.values[min(int(np.searchsorted(share, sample.tail)), last)])
    above = float(sample.values[min(int(np.searchsorted(share, 1 - sample.tail)), last)])
    return min(below, 0.0), max(above, 0.0)

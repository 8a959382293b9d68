"""Everything that was seen fits."""

from __future__ import annotations

from edgeeff.quantization.estimators import Grid, Sample


def estimate(sample: Sample, low: float, high: float, grid: Grid) -> tuple[float, float]:
    """The range that was seen."""
    return low, high

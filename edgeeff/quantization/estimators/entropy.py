"""The range whose codes tell most of the distribution: least Kullback–Leibler divergence.

The method of TensorRT's entropy calibrator as its authors describe it (Migacz 2017, "8-bit inference with
TensorRT", GTC): of the histogram of |x|, try to clip at each bin, put what is clipped into the last bin, and
compare that with the same bins after they were merged into as many levels as there are codes.
"""

from __future__ import annotations

import numpy as np

from edgeeff.quantization.estimators import F64, Grid, Sample

_BINS = 2048
_TRIED = 96


def estimate(sample: Sample, low: float, high: float, grid: Grid) -> tuple[float, float]:
    """The range, cut at the same distance from zero at both ends."""
    levels = 255 if grid.unsigned or not grid.symmetric else 128
    bound = max(-low, high)
    place = np.minimum((np.abs(sample.values) / bound * _BINS).astype(int), _BINS - 1)
    histogram = np.bincount(place, weights=sample.counts, minlength=_BINS).astype(np.float64)
    histogram[0] = 0  # zeros are held exactly by any range, and would outweigh all else
    if not histogram.any():
        return low, high
    cuts = np.unique(np.linspace(levels, _BINS, _TRIED).astype(int))
    best = min(cuts, key=lambda cut: _divergence(histogram, int(cut), levels))
    return max(low, -bound * best / _BINS), min(high, bound * best / _BINS)


def _divergence(histogram: F64, cut: int, levels: int) -> float:
    kept = histogram[:cut].copy()
    level = np.arange(cut) * levels // cut
    counts = np.bincount(level, weights=kept, minlength=levels)
    filled = np.bincount(level, weights=(kept > 0).astype(float), minlength=levels)
    merged = np.where(kept > 0, (counts / np.maximum(filled, 1))[level], 0)
    kept[-1] += histogram[cut:].sum()
    p, q = kept / kept.sum(), merged / max(merged.sum(), 1e-300)
    held = p > 0
    # What was clipped into an empty last bin has no counterpart: counted as if a millionth were there.
    return float((p[held] * np.log(p[held] / np.maximum(q[held], 1e-6))).sum())

"""The range with the least expected error of the logits.

Squared error, resolution inside against clipping outside, each value weighing as much as the logits make of
its channel (sensitivity.py), and counted after the function that the tensor goes through: a runtime that
quantises Swish's input needs no resolution where Swish is flat. Sorted values with running sums answer for
any candidate range in logarithmic time.

A network that decides each pixel answers with large logits where its features are large, such as in flat,
overexposed sky: an error that would turn another pixel's decision turns none there. So an error counts by
S/(S + x²), which is 1 for usual values x and makes it the relative error of large ones; S is the square of
twice the value that 1 % are beyond, or the mean square if that is more. Otherwise a few such images would set
the scale of all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeeff.quantization.estimators import F64, Curve, Grid, Sample

#: Candidates of a search, as fractions of the full range: finer ones change the error by less than 1 %.
_FRACTIONS = np.linspace(0.05, 1.0, 96)
#: Values are large beyond so many times that which this share of all lies within.
_TIMES, _USUAL = 2.0, 0.99
#: Both ends are sought in turn: the error is nearly separable, and three rounds reach its floor.
_ROUNDS = 3


def estimate(sample: Sample, low: float, high: float, grid: Grid) -> tuple[float, float]:
    """The best range within [low, high]."""
    cost = _Cost.of(sample)
    if grid.symmetric:
        tried = max(-low, high) * _FRACTIONS
        lows = np.zeros_like(tried) if grid.unsigned else np.maximum(-tried, low)
        bound = float(tried[int(np.argmin(cost(lows, tried, grid.step(-tried, tried))))])
        return max(low, -bound), min(high, bound)
    ends = [low, high]
    for _ in range(_ROUNDS):
        for end in (0, 1):
            tried = np.asarray((low, high)[end] * _FRACTIONS)
            if not tried.any():
                continue
            lows = tried if end == 0 else np.full_like(tried, ends[0])
            highs = tried if end == 1 else np.full_like(tried, ends[1])
            ends[end] = float(tried[int(np.argmin(cost(lows, highs, grid.step(lows, highs))))])
    return ends[0], ends[1]


@dataclass(frozen=True)
class _Cost:
    """Sorted values, and running sums up to each: Σw·slope² for rounding; Σw, Σw·f, Σw·f² for clipping."""

    values: F64
    sums: F64
    curve: Curve

    @classmethod
    def of(cls, sample: Sample) -> _Cost:
        values, weights = sample.values, sample.weights
        curve = sample.curve or (lambda x: x)
        seen = curve(values)
        nudge = 1e-4 * float(np.abs(values).max())
        slope = (curve(values + nudge) - curve(values - nudge)) / (2 * nudge)
        if sample.relative:
            weights = weights * _relative(seen, weights)
        rows = np.stack([weights * slope**2, weights, weights * seen, weights * seen**2])
        return cls(values, np.concatenate([np.zeros((4, 1)), np.cumsum(rows, axis=1)], axis=1), curve)

    def __call__(self, low: F64, high: F64, step: F64) -> F64:
        """The squared error of some candidates."""
        first = np.searchsorted(self.values, low, "left")
        last = np.searchsorted(self.values, high, "right")
        rounding = (self.sums[0, last] - self.sums[0, first]) * step**2 / 12
        return np.asarray(
            rounding
            + self._clipped(self.sums[1:, first], self.curve(low))
            + self._clipped(self.sums[1:, -1:] - self.sums[1:, last], self.curve(high)),
            np.float64,
        )

    @staticmethod
    def _clipped(sums: F64, end: F64) -> F64:
        """Σ w (f − end)², from the sums over the values that lie outside."""
        return np.asarray(np.maximum(end**2 * sums[0] - 2 * end * sums[1] + sums[2], 0), np.float64)


def _relative(seen: F64, weights: F64) -> F64:
    """How much a square error counts by the size of each value, 0…1."""
    order = np.argsort(np.abs(seen), kind="stable")
    within = np.cumsum(weights[order])
    usual = seen[order[min(int(np.searchsorted(within, _USUAL * within[-1])), len(order) - 1)]]
    # Of a tensor that is nearly always 0 the few values that are not are what matters.
    large = max((_TIMES * float(usual)) ** 2, float((weights * seen**2).sum() / within[-1]))
    return np.asarray(large / (large + seen**2) if large else np.ones_like(seen), np.float64)

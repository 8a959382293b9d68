"""Axes: from values to places, and round values along them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

#: Round values on an axis, about.
_TICKS = 6


@dataclass(frozen=True)
class Axis:
    """Values between two ends.

    Args:
        low: The value at the left or the foot.
        high: That at the right or the top; larger.
        ticks: Round values between them.
    """

    low: float
    high: float
    ticks: tuple[float, ...]

    @classmethod
    def of(
        cls,
        values: Sequence[float],
        *,
        zero: bool = False,
        least: float = 0.0,
        most: float | None = None,
        margin: float = 0.06,
    ) -> Axis:
        """One that holds all values, with room beside them.

        Args:
            values: Finite; none gives 0…1.
            zero: Whether it begins at 0.
            least: It is at least so long.
            most: It does not go beyond this value where no value does, such as 100 %.
            margin: What it is longer at each end.
        """
        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        if zero:
            low, high = min(low, 0.0), max(high, 0.0)
        short = max(least, 1e-9 * max(abs(low), abs(high), 1e-3)) - (high - low)
        if short > 0:
            low, high = (low, high + short) if zero else (low - short / 2, high + short / 2)
        more = margin * (high - low)
        top = max(values, default=1.0)
        low, high = (low if zero and low == 0 else low - more), high + more
        if most is not None and top <= most < high:
            high = most + 0.02 * (most - low)  # the mark of the highest value is not cut
        return cls(low, high, tuple(t for t in ticks(low, high) if most is None or t <= max(most, top)))

    def share(self, value: float) -> float:
        """Where a value lies between the ends, 0…1."""
        return (value - self.low) / (self.high - self.low)


def ticks(low: float, high: float, about: int = _TICKS) -> list[float]:
    """Round values between two ends: about so many."""
    rough = (high - low) / about
    if not rough > 0:
        return [low]
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [n * step for n in range(first, last + 1)]


def plain(step_of: Sequence[float]) -> Callable[[float], str]:
    """How the values of an axis are written: with as many digits as its steps have."""
    step = min((b - a for a, b in pairwise(step_of)), default=1.0)
    digits = max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 0
    return lambda value: f"{value + 0.0:.{min(digits, 6)}f}"

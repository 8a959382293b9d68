"""Latencies of as many frames as come, in bounded memory."""

from __future__ import annotations

import math
from array import array

#: A bin is wider than the one before by this factor: percentiles are exact to half of it.
_STEP = math.log(1.01)
#: The lowest bin's seconds, and the number of bins: up to 500 s.
_LOWEST, _BINS = 1e-6, 2014


class Latencies:
    """A histogram of seconds, each bin 1 % wider than the one before."""

    def __init__(self) -> None:
        self._counts = array("Q", bytes(8 * _BINS))
        self.count = 0
        self.largest = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        bin_ = int(math.log(max(seconds, _LOWEST) / _LOWEST) / _STEP)
        self._counts[min(bin_, _BINS - 1)] += 1
        self.count += 1
        self.largest = max(self.largest, seconds)

    def percentile(self, share: float) -> float:
        """Seconds that this share of all, 0…1, do not exceed; 0 where there is none."""
        wanted, seen = math.ceil(share * self.count), 0
        for number, count in enumerate(self._counts):
            seen += count
            if count and seen >= wanted:
                return min(_LOWEST * math.exp((number + 1) * _STEP), self.largest)
        return 0.0

    def over(self, seconds: float) -> int:
        """How many exceed it, to a bin."""
        first = int(math.log(max(seconds, _LOWEST) / _LOWEST) / _STEP) + 1
        return sum(self._counts[first:])

"""How large a step is: a warm-up along a line, then half a cosine down to nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """The rate of each step, as a share of the largest.

    Args:
        steps: All steps of the course.
        warmup: Of these, the first that the rate grows in.
    """

    steps: int
    warmup: int = 0

    def share(self, step: int) -> float:
        """Of step ``step``, counted from 0: 0…1."""
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1)
        along = (step - self.warmup) / max(1, self.steps - self.warmup)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, along)))

"""How long training goes on, and how its rates fall.

The rates rise for a few steps, stay, and fall to zero along half a cosine in the last part. So nothing but
the number of the step decides a rate until the end is in sight, and a run that was ended by the clock, or by
a budget that was met, is repeated to the same bits by naming the steps that it took.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

#: Steps in which the rates rise; and the last so-manieth of all steps, in which they fall.
WARM, COOLING = 20, 3


@dataclass(frozen=True)
class Limits:
    """What ends training.

    Args:
        steps: So many, neither more nor fewer; None: what follows decides.
        minutes: By the clock of this machine, all told; None: no limit.
        longest: Steps at most.
    """

    steps: int | None = None
    minutes: float | None = None
    longest: int = 2000


@dataclass
class Pace:
    """Where a run stands.

    Args:
        limits: What ends it.
        cooling: The step from which on the rates fall; None: not known yet.
        spent: Seconds that earlier runs took, which were interrupted.
    """

    limits: Limits
    cooling: int | None = None
    spent: float = 0.0
    _begun: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        if self.limits.steps is not None:
            self.cooling = self.limits.steps - self.limits.steps // COOLING

    @property
    def elapsed(self) -> float:
        """Seconds so far."""
        return self.spent + time.monotonic() - self._begun

    @property
    def total(self) -> int | None:
        """All steps, once that is known."""
        if self.limits.steps is not None:
            return self.limits.steps
        return None if self.cooling is None else self.cooling + self.cooling // (COOLING - 1)

    def rate(self, step: int) -> float:
        """The share of the full rates at a step."""
        warm = min(1.0, (step + 1) / WARM)
        if self.cooling is None or step < self.cooling or self.total is None:
            return warm
        return warm * 0.5 * (1 + math.cos(math.pi * self.fallen(step)))

    def fallen(self, step: int) -> float:
        """How much of the fall is behind, 0…1."""
        if self.cooling is None or self.total is None or step < self.cooling:
            return 0.0
        return (step - self.cooling) / max(self.total - self.cooling, 1)

    def over(self, step: int) -> bool:
        """Whether all steps are taken."""
        return self.total is not None and step >= self.total

    def look(self, step: int, *, met: bool) -> None:
        """Let the rates fall from here on where the time is nearly over, or the budget is met."""
        if self.cooling is not None or step < COOLING:
            return
        share = 1 - 1 / COOLING
        late = self.limits.minutes is not None and self.elapsed >= share * 60 * self.limits.minutes
        if met or late or step >= share * self.limits.longest:
            self.cooling = step

"""A group-sequential t test: whether something is slower by a limit, decided as launches come in.

Each launch gives one figure, the logarithm of new / old. After 4, 6, 8, 10, 12 and 16 launches the test
looks at all of them: it passes as soon as a slowdown of the limit is excluded, else fails as soon as no
slowdown at all is excluded, else goes on. Every look spends a part of each error probability, in proportion
to the launches that are new at it, so that all looks together spend at most the whole (Bonferroni's
inequality: it holds however the looks depend on one another). A fail must repeat in a second, independent
series.

Both error probabilities are the same on purpose: then what fails has an estimate above half of the limit.
With independent, normal launches (``python -m benchmarks.gate --simulate`` shows it with others too): a pair
that is equal fails in at most ``alpha`` x ``repeat_alpha`` of the gates (1 in 2000 as set here), a slowdown
of the limit passes in at most 2 x ``beta``, once by the first series and once by both together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy import special

from edgeeff.errors import OptionError

#: Raised when the rule of decision changes: results of another rule are no results of this one.
RULE = 1
LOOKS = (4, 6, 8, 10, 12, 16)
FEWEST, MOST = LOOKS[0], 1000
#: The last look of a longer test must bring this share of its launches, or the look before it is left out.
_LAST_SHARE = 0.15
#: A standard deviation estimated from few launches may be too low: plan for its upper bound of this level.
_CONFIDENCE = 0.9

Decided = Literal["pass", "fail", "inconclusive"]


@dataclass(frozen=True)
class Plan:
    """How one series is decided.

    Args:
        limit: The slowdown that must not pass: 0.03 for 3 %.
        launches: The most that are made; even, because the bundles change places with each launch.
        alpha: Probability that no slowdown fails, in one series.
        beta: Probability that a slowdown of the limit passes, in one series.
        repeat_alpha: ``alpha`` of the second series, which must confirm a fail.
    """

    limit: float = 0.03
    launches: int = LOOKS[-1]
    alpha: float = 0.01
    beta: float = 0.01
    repeat_alpha: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.limit <= 10:
            raise OptionError(f"a limit of {self.limit:.3%}", mend="give more than 0 %, such as --limit 3%")
        if not FEWEST <= self.launches <= MOST or self.launches % 2:
            raise OptionError(
                f"{self.launches} launches cannot be decided on",
                mend=f"give an even number, {FEWEST} to {MOST}: the bundles change places at each launch",
            )

    @property
    def log_limit(self) -> float:
        """The limit as the logarithm of new / old."""
        return math.log1p(self.limit)

    @property
    def looks(self) -> tuple[int, ...]:
        """After how many launches it is looked; further apart as they become many."""
        return looks(self.launches)

    @property
    def repeat(self) -> Plan:
        """The plan of the series that must confirm a fail."""
        return replace(self, alpha=self.repeat_alpha)


@dataclass(frozen=True)
class Look:
    """All launches up to one look, in logarithms of new / old.

    Args:
        launches: So many.
        mean: Of them.
        deviation: Their standard deviation.
        low: No slowdown at or under it, with the error probability that this look spends.
        high: No slowdown at or over it, by the same.
    """

    launches: int
    mean: float
    deviation: float
    low: float
    high: float


@dataclass(frozen=True)
class Decision:
    """What a series says.

    Args:
        status: What was decided.
        look: By which launches.
        needed: Of an inconclusive: launches that would settle it.
    """

    status: Decided
    look: Look
    needed: int | None = None


def looks(launches: int) -> tuple[int, ...]:
    """After how many launches a test of so many at most looks at them."""
    known = list(LOOKS)
    while known[-1] < launches:
        step = known[-1] - known[-2]
        known.append(known[-1] + (step if known[-1] < 4 * step * 2 else 2 * step))
    return (*(n for n in known if n <= (1 - _LAST_SHARE) * launches), launches)


def decide(ratios: Sequence[float], plan: Plan) -> Decision | None:
    """What a series says so far.

    Args:
        ratios: The logarithm of new / old of each launch, in the order in which they were made.
        plan: How it is decided.

    Returns:
        None: go on, until there are ``plan.launches``.

    Raises:
        ValueError: A ratio is no number, or all are the very same: these are no measurements.
    """
    values = np.asarray(ratios, np.float64)
    if not np.isfinite(values).all():
        raise ValueError("a launch's ratio is not a number")
    before = 0
    for count in plan.looks:
        if count > len(values):
            return None
        share = (count - before) / plan.launches
        seen, before = look(values[:count], plan.alpha * share, plan.beta * share), count
        if seen.high < plan.log_limit:
            return Decision("pass", seen)
        if seen.low > 0:
            return Decision("fail", seen)
    return Decision("inconclusive", seen, launches_needed(seen.deviation, seen.launches, plan))


def look(ratios: Sequence[float] | np.ndarray, alpha: float, beta: float) -> Look:
    """Mean, deviation and one-sided t bounds of at least two launches.

    Raises:
        ValueError: All launches are the very same.
    """
    values = np.asarray(ratios, np.float64)
    count, mean, deviation = len(values), float(values.mean()), float(values.std(ddof=1))
    if deviation <= 1e-12:
        raise ValueError(f"{count} launches gave the very same ratio")
    error = deviation / math.sqrt(count)
    low, high = mean - quantile(1 - alpha, count - 1) * error, mean + quantile(1 - beta, count - 1) * error
    return Look(count, mean, deviation, low, high)


def conclude(first: Sequence[float], second: Sequence[float], plan: Plan) -> Decision | None:
    """What a gate says so far, of a first series and of the second that must confirm a fail.

    A fail of the first that the second does not confirm is none: all launches together pass if they exclude
    the limit, else nothing is decided.

    Returns:
        None: go on, with the second series where the first has failed.

    Raises:
        ValueError: As for :func:`decide`.
    """
    once = decide(first, plan)
    if once is None or once.status != "fail":
        return once
    again = decide(second, plan.repeat)
    if again is None:
        return None
    seen = look([*first, *second], plan.alpha, plan.beta)
    if again.status == "fail":
        return Decision("fail", seen)
    if seen.high < plan.log_limit:
        return Decision("pass", seen)
    return Decision("inconclusive", seen, launches_needed(seen.deviation, seen.launches, plan))


def launches_needed(deviation: float, of: int, plan: Plan) -> int | None:
    """With how many launches a series decides, whatever the true slowdown is.

    Then the two bounds lie nearer to each other than the limit to none, so that at least one of them holds:
    (t_a + t_b) x deviation / sqrt(n) < limit, with the error probabilities of the last look.

    Args:
        deviation: Standard deviation of the logarithms, as estimated.
        of: From so many launches; few may have estimated too low, so an upper bound is taken.
        plan: What was not enough.

    Returns:
        An even number above ``plan.launches``; None: more than ``MOST``.
    """
    upper = deviation * math.sqrt((of - 1) / float(special.chdtri(of - 1, _CONFIDENCE)))
    for count in range(plan.launches + 2, MOST + 1, 2):
        share = 1 - looks(count)[-2] / count
        both = quantile(1 - plan.alpha * share, count - 1) + quantile(1 - plan.beta * share, count - 1)
        if both * upper / math.sqrt(count) < plan.log_limit:
            return count
    return None


@lru_cache(maxsize=4096)
def quantile(probability: float, degrees: int) -> float:
    """Of Student's t distribution."""
    return float(special.stdtrit(degrees, probability))

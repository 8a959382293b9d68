"""Whether a bundle became slower than a baseline whose bundle is gone: from CPU times of different days.

Welch's t-test over launches, with what whole runs of one bundle differ by from day to day added to its
variance: a run on another day meets another temperature, another layout of memory and other neighbours, which
more launches of the same run do not average out. It is much weaker than measuring both bundles at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

#: Chance of failing an equally fast bundle, and of passing one that is slower by the limit.
ALPHA, BETA = 0.01, 0.05
#: What one run is made of. More would say little more: runs of other days differ by more than launches do.
LAUNCHES = 8
#: Degrees of freedom that the deviation between runs needs: five runs of one bundle have four.
DEGREES = 4


@dataclass(frozen=True)
class Comparison:
    """What was decided.

    Args:
        status: pass, fail or inconclusive.
        change: How much slower the new bundle is, %; None where it could not be compared.
        low: Lower end of the interval that decides a fail, %.
        high: Upper end of the interval that decides a pass, %.
        between: What runs of one bundle differ by, standard deviation, %; None of too few runs.
        runs_missing: How many more runs of the baseline's bundle the comparison needs.
    """

    status: Literal["pass", "fail", "inconclusive"]
    change: float | None
    low: float | None
    high: float | None
    between: float | None
    runs_missing: int


def between_runs(runs: Mapping[str, Sequence[Sequence[float]]]) -> tuple[float, int]:
    """What whole runs of one bundle differ by.

    Args:
        runs: Of each bundle its runs, of each run the times of its launches.

    Returns:
        The standard deviation of a run's mean logarithm about its bundle's, and its degrees of freedom.
    """
    total, degrees = 0.0, 0
    for those in runs.values():
        means = [_mean_log(run) for run in those]
        centre = float(np.mean(means))
        total += sum((mean - centre) ** 2 for mean in means)
        degrees += len(means) - 1
    return (math.sqrt(total / degrees) if degrees else 0.0), degrees


def compare(
    new: Sequence[float], old: Sequence[Sequence[float]], between: tuple[float, int], limit: float
) -> Comparison:
    """Hold a run against those of the baseline's bundle.

    Args:
        new: CPU time of an image in each launch of the new bundle, in any unit, at least two.
        old: The same of each run of the baseline's bundle, at least one run.
        between: Of :func:`between_runs`, over all runs of the series that are known.
        limit: How much slower it may be, %.
    """
    from scipy import stats

    spread, degrees = between
    logs = np.log(np.asarray(new, np.float64))
    means = [_mean_log(run) for run in old]
    change = float(logs.mean() - np.mean(means))
    if degrees < DEGREES:
        return Comparison("inconclusive", _percent(change), None, None, None, DEGREES - degrees)
    within = [np.log(np.asarray(run, np.float64)) for run in old]
    launches = sum(map(len, within))
    inner = sum(float(((run - run.mean()) ** 2).sum()) for run in within)
    inner_degrees = launches - len(within)
    # The variance of each part and its degrees of freedom: launches of either side; whole runs.
    parts = [
        (float(logs.var(ddof=1)) / len(logs), len(logs) - 1),
        (inner / inner_degrees / launches if inner_degrees else 0.0, max(inner_degrees, 1)),
        (spread**2 * (1 + 1 / len(old)), degrees),
    ]
    variance = sum(part for part, _ in parts)
    # Welch–Satterthwaite; no fewer degrees than the part has that nearly all of the variance comes from.
    freedom = variance**2 / sum(part**2 / d for part, d in parts) if variance else float(degrees)
    error = math.sqrt(variance)
    low = change - float(stats.t.ppf(1 - ALPHA, freedom)) * error
    high = change + float(stats.t.ppf(1 - BETA, freedom)) * error
    bound = math.log1p(limit / 100)
    status: Literal["pass", "fail", "inconclusive"] = "inconclusive"
    if high < bound:  # first, so that what is surely a small change passes
        status = "pass"
    elif low > 0:
        status = "fail"
    return Comparison(status, _percent(change), _percent(low), _percent(high), _percent(spread), 0)


def _mean_log(run: Sequence[float]) -> float:
    return float(np.log(np.asarray(run, np.float64)).mean())


def _percent(log_ratio: float) -> float:
    return 100 * math.expm1(log_ratio)

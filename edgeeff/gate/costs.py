"""What else a bundle costs: its size, and from the launches the memory and the time that loading takes."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edgeeff.bundle import Bundle
from edgeeff.gate.latency import NEW, OLD, percent
from edgeeff.gate.sequential import quantile
from edgeeff.gate.verdict import Status, Verdict
from edgeeff.harness.launches import Launch
from edgeeff.harness.record import artifact_bytes

#: Probability that what costs the same seems to cost more.
ALPHA = 0.01
#: Launches that say how much memory and time loading takes, where latency needs none or too few.
LAUNCHES = 6


def size(case: str, new: Bundle, old: Bundle, limit: float) -> Verdict:
    """Of the files that hold the network.

    Args:
        case: What the verdict calls it.
        new: The new bundle.
        old: The old one.
        limit: How much larger it may be, %.
    """
    one, other = artifact_bytes(new), artifact_bytes(old)
    change = 100.0 * (one - other) / other if other else math.inf
    status: Status = "pass" if change <= limit else "fail"
    within = "within" if status == "pass" else "above"
    why = f"{one / 1e6:.2f} MB, and {other / 1e6:.2f} MB: {change:+.1f} %, {within} {limit:g} %"
    measured = {"new_bytes": one, "old_bytes": other}
    return Verdict(case, "size", status, change, "%", limit=limit, why=why, measured=measured)


def memory(case: str, launches: Sequence[Launch], limit: float) -> Verdict:
    """By how much the process's peak rises while the bundle is loaded and run, as the first of its runtime.

    A bundle that is loaded second finds the runtime's libraries in memory, so of each launch only the first
    one's figure counts: launches that load the new bundle first stand beside the next that loads the old one.
    """
    figures: tuple[list[float], list[float]] = ([], [])
    for launch in launches:
        for place, run in launch.runs.items():
            if run.place == 0 and run.peak_memory_mb is not None:
                figures[place].append(run.peak_memory_mb)
    return _by_limit(case, "memory", "MB", figures, limit)


def load_time(case: str, launches: Sequence[Launch], limit: float) -> Verdict:
    """Of making the artifact ready, by wall time: of the fastest launches, which others disturbed least."""
    figures = tuple([launch.runs[place].load_ms for launch in launches] for place in (NEW, OLD))
    return _by_limit(case, "load_time", "ms", (figures[0], figures[1]), limit)


def _by_limit(
    case: str, metric: str, unit: str, figures: tuple[list[float], list[float]], limit: float
) -> Verdict:
    """Fail where the change is above the limit and chance does not explain it, inconclusive where it may."""
    pairs = min(map(len, figures))
    new, old = (np.asarray(one[:pairs], np.float64) for one in figures)
    measured = {f"new_{unit.lower()}": figures[NEW], f"old_{unit.lower()}": figures[OLD]}
    if pairs < 2 or min(new.min(), old.min()) <= 0:
        why = f"this machine does not say the {metric.replace('_', ' ')}"
        return Verdict(case, metric, "error", unit="%", limit=limit, why=why, measured=measured)
    logs = np.log(new / old)
    error = float(logs.std(ddof=1)) / math.sqrt(pairs) * quantile(1 - ALPHA, pairs - 1)
    change, low, high = (percent(float(logs.mean()) + by) for by in (0.0, -error, error))
    typical = [statistics.median(one) for one in figures]
    if metric == "load_time":
        typical = [min(one) for one in figures]
        change = 100.0 * (typical[NEW] / typical[OLD] - 1)
    both = f"{typical[NEW]:.3g} {unit}, and {typical[OLD]:.3g} {unit}"
    status: Status = "inconclusive"
    if change <= limit:
        status, why = "pass", f"{both}: {change:+.1f} %, within {limit:g} %"
    elif low > 0:
        status, why = "fail", f"{both}: {change:+.1f} % ({low:+.1f} at least), above {limit:g} %"
    else:
        why = f"{both}: {change:+.1f} %, above {limit:g} %, but the launches differ by more"
    verdict = Verdict(case, metric, status, change, "%", low, high, limit, why=why, measured=measured)
    # The interval is of the mean, not of the fastest.
    return replace(verdict, low=None, high=None) if metric == "load_time" else verdict

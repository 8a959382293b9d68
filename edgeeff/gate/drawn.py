"""Whether a network is worse than another, by mean average precision or mean IoU on images that are known.

Of two bundles the images are drawn anew, the same ones for both: it passes if the upper bound of the loss is
under the limit, else it fails if chance does not explain the loss, else more images are needed. Of a bundle
that is gone the baseline remembers one number and how much it spreads; the bound is wider then.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from edgeeff.bootstrap import Loss
from edgeeff.gate.fidelity import ALPHA, held
from edgeeff.gate.verdict import Settle, Status, Verdict
from edgeeff.harness.accuracy_report import AccuracyReport
from edgeeff.harness.drawn_comparison import images_needed
from edgeeff.metrics import json_number
from edgeeff.tasks import DETECTION, SEGMENTATION, drawn, room

#: The metrics of these tasks, as a baseline holds them.
METRICS = tuple(room(task).PRIMARY for task in (DETECTION, SEGMENTATION))
#: One-sided 99 % of the normal distribution.
_SURE = 2.326


def paired(case: str, new: AccuracyReport, old: AccuracyReport, margin: float) -> Verdict:
    """Decide from two bundles that saw the same images.

    Args:
        case: What the verdict calls the pair.
        new: Of the new bundle.
        old: Of the old one.
        margin: The loss that must not pass, percentage points.
    """
    empty = Verdict(case, new.metric, "error", unit="points", limit=margin)
    after, before = drawn(new.scores), old.scores
    assert after is not None
    found = after.lost(before)
    if before is None or found is None:
        why = "nothing is known of any image that both could read, or they read different ones"
        return replace(empty, why=why)
    status, settle = _status(found, margin)
    shares = 100 * after.primary, 100 * before.primary
    why = f"{shares[0]:.2f}, and {shares[1]:.2f}: {found.points:.2f} points lost, at most {found.bound:.2f}"
    why += {
        "pass": f", under {margin:g}",
        "fail": f", and chance alone gives that with p = {found.p_worse:.2g}",
        "inconclusive": f", and {margin:g} must not be",
    }[status]
    measured = {**found.to_json(), "new": shares[0], "old": shares[1], "p": found.p_worse}
    return replace(
        empty,
        status=status,
        value=found.points,
        low=found.low,
        high=found.bound,
        why=why,
        settle=settle,
        measured=measured,
    )


def _status(found: Loss, margin: float) -> tuple[Status, Settle | None]:
    if found.bound < margin:
        return "pass", None
    if found.points > 0 and found.p_worse <= ALPHA:
        return "fail", None
    needed = images_needed(found, margin) if 0 < margin < 100 else None
    more = None if needed is None else Settle(images=max(needed, math.ceil(1.2 * found.images)))
    return "inconclusive", more


def error_of(metric: str) -> str:
    """The name of a metric's standard error, as a baseline holds it."""
    return f"{metric}_error"


def held_by(*metrics: Mapping[str, object]) -> str | None:
    """Which of :data:`METRICS` some baselines hold; None: neither."""
    return next((name for name in METRICS if any(name in one for one in metrics)), None)


def remembered(
    case: str, metric: str, new: tuple[float, float], old: tuple[float, float], margin: float
) -> Verdict:
    """Decide against a bundle that is gone: on the same images, but of each one nothing is remembered.

    Args:
        case: What the verdict calls the bundle.
        metric: Which one.
        new: Its value and its standard error, in percent and points.
        old: The same as the baseline has it.
        margin: The loss that must not pass, percentage points.
    """
    lost = old[0] - new[0]
    error = math.hypot(new[1], old[1])
    status: Status = "pass" if lost <= margin else "fail" if lost - _SURE * error > 0 else "inconclusive"
    why = f"{new[0]:.2f}, and {old[0]:.2f} in the baseline: {lost:.2f} points lost, {held(lost, margin)}"
    if status == "inconclusive":
        why += f"; chance moves it by {error:.2f} and more: keep the old bundle and name it to be sure"
    measured = {"against": "baseline", "new": new[0], "old": old[0], "error": error}
    measured = {name: json_number(v) if isinstance(v, float) else v for name, v in measured.items()}
    low, high = lost - 1.96 * error, lost + 1.96 * error
    return Verdict(case, metric, status, lost, "points", low, high, margin, why=why, measured=measured)

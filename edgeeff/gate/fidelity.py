"""How far a bundle is from a float reference, or from the old bundle: it needs no labels, and few images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from scipy import stats

from edgeeff.gate.verdict import Settle, Status, Verdict
from edgeeff.harness.accuracy_report import AccuracyReport
from edgeeff.metrics import Proportion, json_number

#: How often bundles that agree equally often fail.
ALPHA = 0.01


def held(value: float, limit: float) -> str:
    """How a value lies to its limit, in words."""
    return f"{'within' if value <= limit else 'above'} {limit:g}"


def alike(case: str, report: AccuracyReport, limit: float | None) -> list[Verdict]:
    """How often the new bundle decides as the old one does."""
    found = report.reference
    if limit is None or found is None or found.agreement is None:
        return []
    return [_agreement(case, (found.agreement, None), limit, "the old bundle", report.images)]


def farther(case: str, reports: list[AccuracyReport], wanted: Mapping[str, float]) -> list[Verdict]:
    """How much farther from the float bundle the new one is than the old one."""
    new, old = reports[0].reference, reports[1].reference
    assert new is not None
    assert old is not None
    verdicts = []
    if "sqnr_centred" in wanted:
        verdicts.append(_sqnr(case, new.sqnr_centred, old.sqnr_centred, wanted["sqnr_centred"], reports[0]))
    if "agreement" in wanted and new.agreement is not None and old.agreement is not None:
        shares = new.agreement, old.agreement
        verdicts.append(_agreement(case, shares, wanted["agreement"], new.name, reports[0].images))
    return verdicts


def _sqnr(case: str, new: float, old: float, limit: float, report: AccuracyReport) -> Verdict:
    """Of the logits, by the limit alone: a sum over all values of all images has little of chance in it."""
    loss = 0.0 if new == old else old - new  # both may be infinite
    status: Status = "pass" if loss <= limit else "fail"
    why = f"{new:.1f} dB, and {old:.1f} dB: {loss:+.1f} dB lost, {held(loss, limit)}"
    if math.isnan(old):
        status, why = "error", "some logits of the old bundle or of the reference are not numbers (NaN)"
    elif math.isnan(new):
        status, why = "fail", "some logits of the new bundle are not numbers (NaN)"
    measured = {"new_db": json_number(new), "old_db": json_number(old), "images": report.images}
    value = None if math.isnan(loss) else loss
    return Verdict(case, "sqnr_centred", status, value, "dB", limit=limit, why=why, measured=measured)


def _agreement(
    case: str, shares: tuple[Proportion, Proportion | None], limit: float, who: str, images: int
) -> Verdict:
    """Decisions that are other than the reference's: more of them than the old bundle has, if it is known.

    It fails where the loss is above the limit and chance does not explain it.
    """
    new, old = shares
    before = old or Proportion(new.total, new.total, new.independent)
    measured: dict[str, Any] = {"new": new.to_json(), "old": before.to_json(), "reference": who}
    verdict = Verdict(case, "agreement", "error", unit="points", limit=limit, measured=measured)
    if not new.total:
        return replace(verdict, why="no image was compared")
    loss = 100 * (before.value - new.value)
    agree = f"{new.value:.1%} agree with {who}"
    agree += f", and {before.value:.1%} of the old one's" if old else ""
    why = f"{agree}, {new.total} decisions: {loss:.2f} points, {held(loss, limit)}"
    verdict = replace(verdict, value=loss, status="pass", why=why)
    if loss <= limit:
        return verdict
    measured["p"] = chance = _chance(new, old, limit, 1)
    if chance <= ALPHA:
        return replace(verdict, status="fail")
    times = next((n for n in range(2, 100) if _chance(new, old, limit, n) <= ALPHA / 10), 100)
    settle = Settle(images=times * images)
    return replace(verdict, status="inconclusive", why=f"{why}, but chance may do that", settle=settle)


def _chance(new: Proportion, old: Proportion | None, limit: float, times: int) -> float:
    """How likely so many other decisions are, or more, if the new bundle is within the limit.

    Against a reference that both are held against: if it is as good as the old one, by Fisher's exact test,
    as if the two had seen different images, which finds less than a paired test and never too much. Against
    the old bundle: if the limit is what it differs by.

    Args:
        new: Decisions that agree.
        old: Those of the old bundle, or None where it is itself the reference.
        limit: Points.
        times: As if so many times as many had been seen.
    """
    if old is not None:
        return by_chance(new, old, times)
    own = new.alone
    others, total = times * (own.total - own.successes), times * own.total
    return float(stats.binom.sf(others - 1, total, max(1e-12, limit / 100)))


def by_chance(new: Proportion, old: Proportion, times: int = 1) -> float:
    """Fisher's exact test, one-sided: how likely so few of the new ones are, if both have the same share.

    Args:
        new: So many of so many.
        old: The same of the old bundle.
        times: As if so many times as many had been seen.
    """
    both = (new.alone, old.alone)
    table = [[times * (one.total - one.successes), times * one.successes] for one in both]
    return float(stats.fisher_exact(table, alternative="greater").pvalue)

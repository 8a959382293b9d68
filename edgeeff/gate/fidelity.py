"""How far a bundle is from a float reference, or from the old bundle: it needs no labels, and few images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from scipy import stats

from edgeeff.gate.verdict import Settle, Status, Verdict
from edgeeff.harness.accuracy_report import AccuracyReport, ReferenceScores
from edgeeff.metrics import Proportion

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
    return [_agreement(case, found.agreement, None, limit, "the old bundle", found)]


def farther(case: str, reports: list[AccuracyReport], wanted: Mapping[str, float]) -> list[Verdict]:
    """How much farther from the float bundle the new one is than the old one."""
    new, old = reports[0].reference, reports[1].reference
    assert new is not None
    assert old is not None
    verdicts = []
    if "sqnr_centred" in wanted:
        limit, loss = wanted["sqnr_centred"], old.sqnr_centred - new.sqnr_centred
        if new.sqnr_centred == old.sqnr_centred:  # both infinite too
            loss = 0.0
        status: Status = "error" if math.isnan(loss) else "pass" if loss <= limit else "fail"
        levels = f"{new.sqnr_centred:.1f} dB, and {old.sqnr_centred:.1f} dB"
        why = f"{levels}: {loss:+.1f} dB lost, {held(loss, limit)}"
        measured = {"new_db": new.sqnr_centred, "old_db": old.sqnr_centred, "images": reports[0].images}
        verdicts.append(
            Verdict(case, "sqnr_centred", status, loss, "dB", limit=limit, why=why, measured=measured)
        )
    if "agreement" in wanted and new.agreement is not None and old.agreement is not None:
        verdicts.append(_agreement(case, new.agreement, old.agreement, wanted["agreement"], new.name, new))
    return verdicts


def _agreement(
    case: str, new: Proportion, old: Proportion | None, limit: float, who: str, found: ReferenceScores
) -> Verdict:
    """Decisions that are other than the reference's: more of them than the old bundle has, if it is known.

    It fails where the loss is above the limit and chance does not explain it: Fisher's exact test, one-sided,
    as if the two had seen different images, which finds less than a paired test and never too much.
    """
    before = old or Proportion(new.total, new.total)
    loss = 100 * (before.value - new.value)
    measured: dict[str, Any] = {"new": new.to_json(), "old": before.to_json(), "reference": found.name}
    shares = f"{new.value:.1%} agree with {who}" + (
        f", and {before.value:.1%} of the old one's" if old else ""
    )
    status: Status = "pass"
    settle = None
    if not new.total:
        status, loss = "error", math.nan
    elif loss > limit:
        table = [
            [new.total - new.successes, new.successes],
            [before.total - before.successes, before.successes],
        ]
        # Against the old bundle itself the limit is what is expected of it.
        expected = max(1e-12, limit / 100)
        chance = (
            float(stats.fisher_exact(table, alternative="greater").pvalue)
            if old
            else float(stats.binom.sf(new.total - new.successes - 1, new.total, expected))
        )
        measured["p"] = chance
        status = "fail" if chance <= ALPHA else "inconclusive"
        if status == "inconclusive":
            settle = Settle(images=4 * new.total)
    why = f"{shares}, {new.total} decisions: {loss:.2f} points, {held(loss, limit)}"
    if settle is not None:
        why += ", but chance may do that"
    value = None if math.isnan(loss) else loss
    return Verdict(
        *(case, "agreement", status, value, "points", None, None, limit),
        why=why,
        settle=settle,
        measured=measured,
    )

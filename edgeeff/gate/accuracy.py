"""Whether a bundle decides worse than another, on labelled images.

It is compared image by image: only the images that one of the two has right and the other wrong say anything.
It passes if the upper bound of the paired loss is under the margin, else it fails if chance does not explain
the loss (exact one-sided McNemar), else more images are needed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from edgeeff import tasks
from edgeeff.bundle import Bundle
from edgeeff.errors import EdgeeffError
from edgeeff.gate import fidelity
from edgeeff.gate.fidelity import held
from edgeeff.gate.limits import UNITS, Limit
from edgeeff.gate.verdict import Settle, Status, Verdict, unmeasured
from edgeeff.harness import truth
from edgeeff.harness.accuracy import evaluate_all
from edgeeff.harness.accuracy_report import AccuracyReport
from edgeeff.harness.outcomes import Outcomes, common
from edgeeff.images import ImageSet
from edgeeff.metrics import Proportion, json_number
from edgeeff.paired import images_needed, loss_bound, mcnemar
from edgeeff.progress import Recorder
from edgeeff.recipes import open_source

#: Of McNemar's test: how often equally good bundles fail.
ALPHA = 0.01
#: Of the bound: how often a bundle that is worse by the margin passes.
BETA = 0.05
Limits = Mapping[str, Limit]


@dataclass(frozen=True)
class Asked:
    """What is compared.

    Args:
        case: What the verdicts call the pair.
        new: The new bundle.
        old: The old one.
        reference: A float bundle that both are held against, or None.
        images: On which.
        threads: Of each runtime.
        white: The value that is white in images of more than 8 bits, instead of the bundles'.
    """

    case: str
    new: Bundle
    old: Bundle
    reference: Bundle | None
    images: ImageSet | Path | str
    threads: int = 1
    white: float | None = None


def gate(asked: Asked, limits: Limits, listener: Recorder) -> list[Verdict]:
    """Run both over the images, in one pass, and decide.

    Args:
        asked: What is compared.
        limits: Of ``top_1`` (the task's own metric, points), ``sqnr_centred`` (dB), ``agreement`` (points);
            None: it is not asked for.
        listener: Told of each batch, and warned.

    Returns:
        A verdict for each limit that the images can say something about; what they cannot is a warning.
    """
    wanted = {name: limit for name, limit in limits.items() if limit is not None}
    if not wanted:
        return []
    begin = time.perf_counter()
    try:
        verdicts = _decide(asked, wanted, listener)
    except EdgeeffError as error:
        verdicts = [
            unmeasured(
                Verdict(asked.case, _name(metric, asked.new), "error", unit=UNITS[metric], limit=limit), error
            )
            for metric, limit in wanted.items()
            if _expected(metric, wanted, asked)
        ]
    return [replace(verdict, seconds=time.perf_counter() - begin) for verdict in verdicts]


def _decide(asked: Asked, wanted: Mapping[str, float], listener: Recorder) -> list[Verdict]:
    images = asked.images if isinstance(asked.images, ImageSet) else open_source(asked.images)
    labelled = truth.read(images, None, asked.new.manifest)[1] is not None
    # Without labels and without a float bundle it is the old one that the new one is held against.
    alone = not labelled and asked.reference is None
    bundles = [asked.new] if alone else [asked.new, asked.old]
    reports = evaluate_all(
        bundles,
        images,
        reference=asked.old if alone else asked.reference,
        white=asked.white,
        threads=asked.threads,
        progress=listener,
    )
    for report in reports:
        if report.not_run is not None:
            raise EdgeeffError(f"{report.bundle} NOT RUN: {report.not_run}", mend="gate it where it runs")
    verdicts: list[Verdict] = []
    if "top_1" in wanted and labelled:
        verdicts.append(_scored(asked.case, reports, wanted["top_1"]))
    if alone:
        verdicts += fidelity.alike(asked.case, reports[0], wanted.get("agreement"))
    elif asked.reference is not None:
        verdicts += fidelity.farther(asked.case, reports, wanted)
    if labelled and asked.reference is None and "agreement" in wanted:
        listener.tell(f"{asked.case}: by its labels; agreement is not gated without --reference")
    if not verdicts:
        listener.warn(f"{asked.case}: the images say nothing about {', '.join(wanted)}")
    elif not labelled and "top_1" in wanted:
        listener.warn(f"{asked.case}: the images bear no labels, so accuracy is not gated")
    return verdicts


def _expected(metric: str, wanted: Mapping[str, float], asked: Asked) -> bool:
    """Whether a metric would have been measured, as far as it is known before the images are read."""
    return asked.reference is not None or metric == ("top_1" if "top_1" in wanted else "agreement")


def _name(metric: str, bundle: Bundle) -> str:
    return tasks.room(bundle.manifest.task).PRIMARY if metric == "top_1" else metric


def _scored(case: str, reports: list[AccuracyReport], margin: float) -> Verdict:
    """The task's own metric: paired where one class is decided, else by the limit alone."""
    new, old = reports
    outcomes = [report.outcomes for report in reports]
    if outcomes[0] is None or outcomes[1] is None or not outcomes[0].exclusive:
        assert new.scores is not None
        assert old.scores is not None
        return _unpaired(case, new.metric, new.scores.primary, old.scores.primary, margin)
    return paired(case, new.metric, outcomes[0], outcomes[1], margin)


def paired(case: str, metric: str, new: Outcomes, old: Outcomes, margin: float) -> Verdict:
    """Decide from what each bundle decided about each image.

    Args:
        case: What the verdict calls the pair.
        metric: What it calls the metric.
        new: Of the new bundle.
        old: Of the old one.
        margin: The loss that must not pass, percentage points.
    """
    mine, theirs = common(new, old)
    known = new.known[mine] & old.known[theirs]
    right, before = new.right[mine][known], old.right[theirs][known]
    images, lost, won = int(known.sum()), int((before & ~right).sum()), int((right & ~before).sum())
    chance, bound = mcnemar(lost, won), 100 * loss_bound(lost, won, images, BETA)
    loss = 100 * (lost - won) / images if images else math.nan
    counts = f"{images} images, {lost} lost and {won} won"
    settle = None
    status: Status = "inconclusive"
    if not images:
        status, why = "error", "no image that both could read bears a label"
    elif bound < margin:
        status, why = "pass", f"{counts}: at most {bound:.2f} points are lost, under {margin:g}"
    elif chance <= ALPHA:
        status = "fail"
        why = f"{counts}: {loss:.2f} points, and chance alone gives that with p = {chance:.2g}"
    else:
        needed = needed_images(lost + won, images, margin)
        settle = Settle(images=needed)
        why = f"{counts}: up to {bound:.2f} points may be lost, and {margin:g} must not"
    agreed = int((new.decided[mine] == old.decided[theirs]).sum())
    measured = {
        "images": images,
        "lost": lost,
        "won": won,
        "p": chance,
        "new": 100 * float(right.mean()) if images else None,
        "old": 100 * float(before.mean()) if images else None,
        "agreement_of_the_two": Proportion(agreed, len(mine)).to_json(),
    }
    low = None
    high = bound if images else None
    value = None if math.isnan(loss) else loss
    return Verdict(
        *(case, metric, status, value, "points", low, high, margin),
        why=why,
        settle=settle,
        measured=measured,
    )


def needed_images(discordant: int, images: int, margin: float) -> int:
    """How many images would tell a margin, if the two are equally good.

    Args:
        discordant: Images that one of the two has right and the other wrong.
        images: Among so many.
        margin: Percentage points.

    Returns:
        More than ``images``: these did not do.
    """
    # One more than was seen: of few images none may have been discordant.
    found = images_needed(margin / 100, min(1.0, (discordant + 1) / (images + 1)), alpha=BETA)
    return max(found, math.ceil(1.2 * images))


def _unpaired(case: str, metric: str, new: float, old: float, margin: float) -> Verdict:
    """By the limit alone, where nothing is kept of single images that a test could go by."""
    loss = 100 * (old - new)
    # What the new bundle lost where it has no score any more is all.
    status: Status = "error" if math.isnan(old) else "pass" if loss <= margin else "fail"
    why = f"{100 * new:.2f}, and {100 * old:.2f}: {loss:.2f} points lost, {held(loss, margin)}"
    why += ", without a test of chance"
    value = None if math.isnan(loss) else loss
    measured = {"new": json_number(100 * new), "old": json_number(100 * old)}
    return Verdict(case, metric, status, value, "points", limit=margin, why=why, measured=measured)

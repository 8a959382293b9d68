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

import numpy as np
import numpy.typing as npt

from edgeeff import tasks
from edgeeff.bundle import Bundle
from edgeeff.errors import EdgeeffError
from edgeeff.gate import drawn, fidelity
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
from edgeeff.recipes import open_to_judge

#: Of McNemar's test: how often equally good bundles fail.
ALPHA = 0.01
#: Of the bound: how often a bundle that is worse by the margin passes.
BETA = 0.05
Limits = Mapping[str, Limit]
Decisions = npt.NDArray[np.bool_]


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
        root: The folder of the photos that a file of boxes names; None: where they usually are.
    """

    case: str
    new: Bundle
    old: Bundle
    reference: Bundle | None
    images: ImageSet | Path | str
    threads: int = 1
    white: float | None = None
    root: Path | None = None


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
    images = open_to_judge(asked.images, asked.root)
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
        verdicts.append(scored(asked.case, reports, wanted["top_1"]))
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


def scored(case: str, reports: list[AccuracyReport], margin: float) -> Verdict:
    """The task's own metric: paired where that can be, else by the limit."""
    new, old = reports
    if tasks.drawn(new.scores) is not None:
        return drawn.paired(case, new, old, margin)
    if new.outcomes is None or old.outcomes is None or not new.outcomes.exclusive:
        return _by_score(case, new, old, margin)
    return paired(case, new.metric, new.outcomes, old.outcomes, margin)


def paired(case: str, metric: str, new: Outcomes, old: Outcomes, margin: float) -> Verdict:
    """Decide from what each bundle decided about each image.

    Args:
        case: What the verdict calls the pair.
        metric: What it calls the metric.
        new: Of the new bundle.
        old: Of the old one.
        margin: The loss that must not pass, percentage points.
    """
    right, before = _right(new, old)
    verdict = counted(
        case, metric, int((before & ~right).sum()), int((right & ~before).sum()), len(right), margin
    )
    mine, theirs = common(new, old)
    agreed = int((new.decided[mine] == old.decided[theirs]).sum())
    measured = {
        **verdict.measured,
        "new": 100 * float(right.mean()) if len(right) else None,
        "old": 100 * float(before.mean()) if len(right) else None,
        "agreement_of_the_two": Proportion(agreed, len(mine)).to_json(),
    }
    return replace(verdict, measured=measured)


def counted(case: str, metric: str, lost: int, won: int, images: int, margin: float) -> Verdict:
    """Decide from the images on which one of the two bundles is right and the other wrong.

    Args:
        case: What the verdict calls the pair.
        metric: What it calls the metric.
        lost: Images that the old bundle has right and the new one wrong.
        won: The other way round.
        images: Among so many labelled ones.
        margin: The loss that must not pass, percentage points.
    """
    empty = Verdict(case, metric, "error", unit="points", limit=margin)
    measured = {"images": images, "lost": lost, "won": won, "p": mcnemar(lost, won)}
    if not images:
        return replace(empty, why="no image that both could read bears a label", measured=measured)
    chance, bound = measured["p"], 100 * loss_bound(lost, won, images, BETA)
    loss = 100 * (lost - won) / images
    counts = f"{images} images, {lost} lost and {won} won"
    settle = None
    status: Status = "inconclusive"
    if bound < margin:
        status, why = "pass", f"{counts}: at most {bound:.2f} points are lost, under {margin:g}"
    elif chance <= ALPHA:
        status = "fail"
        why = f"{counts}: {loss:.2f} points, and chance alone gives that with p = {chance:.2g}"
    else:
        needed = needed_images(lost + won, images, margin)
        settle = Settle(images=needed) if needed is not None else None
        why = f"{counts}: up to {bound:.2f} points may be lost, and {margin:g} must not"
    return replace(empty, status=status, value=loss, high=bound, why=why, settle=settle, measured=measured)


def needed_images(discordant: int, images: int, margin: float) -> int | None:
    """How many images would tell a margin, if the two are equally good.

    Args:
        discordant: Images that one of the two has right and the other wrong.
        images: Among so many.
        margin: Percentage points.

    Returns:
        More than ``images``: these did not do. None: no number of images tells a margin of 0, or of all.
    """
    if not 0 < margin < 100:
        return None
    # One more than was seen: of few images none may have been discordant.
    found = images_needed(margin / 100, min(1.0, (discordant + 1) / (images + 1)), alpha=BETA)
    return max(found, math.ceil(1.2 * images))


def _right(new: Outcomes, old: Outcomes) -> tuple[Decisions, Decisions]:
    """Which images each has right, bool [N], of those that both could read and whose truth is known."""
    mine, theirs = common(new, old)
    known = new.known[mine] & old.known[theirs]
    return new.right[mine][known], old.right[theirs][known]


def _by_score(case: str, new: AccuracyReport, old: AccuracyReport, margin: float) -> Verdict:
    """By the limit, of a metric that is no share of images; what chance explains is inconclusive."""
    assert new.scores is not None
    assert old.scores is not None
    after, before = 100 * new.scores.primary, 100 * old.scores.primary
    loss, chance = before - after, _chance(new, old)
    status: Status = "pass"
    why = f"{after:.2f}, and {before:.2f}: {loss:.2f} points lost, {held(loss, margin)}"
    if math.isnan(before):
        status = "error"
    elif not loss <= margin:  # a new bundle that has no score any more has lost all
        status = "fail" if chance is None or chance <= ALPHA else "inconclusive"
        why += ", without a test of chance" if chance is None else f"; chance alone: p = {chance:.2g}"
    measured = {"new": json_number(after), "old": json_number(before), "p": chance, "images": new.labelled}
    value = None if math.isnan(loss) else loss
    return Verdict(case, new.metric, status, value, "points", limit=margin, why=why, measured=measured)


def _chance(new: AccuracyReport, old: AccuracyReport) -> float | None:
    """How likely such a loss is by chance; None where nothing is known that would tell.

    Of labels that do not exclude each other: by the images whose labels are all right. Of another metric: by
    the score that is a share of images, if it is one, as if the two had seen different ones.
    """
    if new.outcomes is not None and old.outcomes is not None:
        right, before = _right(new.outcomes, old.outcomes)
        return mcnemar(int((before & ~right).sum()), int((right & ~before).sum()))
    shares = []
    for report in (new, old):
        assert report.scores is not None
        cells = report.scores.cells().values()
        shares += [c for c in cells if isinstance(c, Proportion) and c.value == report.scores.primary][:1]
    return fidelity.by_chance(shares[0], shares[1]) if len(shares) == 2 else None

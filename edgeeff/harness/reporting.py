"""From what the runs of a bundle gave to its report of accuracy, with what its reader must not miss."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace

from edgeeff import tasks
from edgeeff.bundle import Bundle
from edgeeff.harness import truth, where
from edgeeff.harness.accuracy_report import AccuracyReport, ReferenceScores
from edgeeff.harness.judging import Group, Lane
from edgeeff.harness.record import record
from edgeeff.harness.verify import FEW, fidelity_warnings
from edgeeff.images import ImageSet
from edgeeff.images.image_set import skipped
from edgeeff.images.survey import Survey
from edgeeff.preprocess import converted


def report(
    images: ImageSet, looked: Survey, lane: Lane, group: Group, names: Sequence[str]
) -> AccuracyReport:
    """What the runs of a bundle say, and how the images were read.

    Args:
        images: As the bundle's task knows them.
        looked: How their files are read.
        lane: The bundle, run.
        group: The bundles that saw the same pixels.
        names: Of all images.
    """
    bundle, scores = lane.bundle, lane.scorer.scores()
    found = AccuracyReport(
        bundle=bundle.name,
        images=lane.images,
        labelled=0 if scores is None else scores.images,
        classes=bundle.manifest.classes,
        skipped={names[number]: why for number, why in group.bad.items()},
        scores=scores,
        reference=_against(lane, scores),
        via=lane.via,
        metric=tasks.room(bundle.manifest.task).PRIMARY,
        notes=(*images.notes, *looked.lines, *_converted(bundle), *_places(lane)),
        warnings=(
            *bundle.plugin_warnings(),
            *where.class_warnings([bundle]),
            *images.warnings,
            *looked.warnings,
        ),
        outcomes=lane.outcomes(names, group.bad),
        images_sha256=set_digest(names, lane.known),
        labels=bundle.manifest.labels,
    )
    return replace(found, warnings=_warnings(found))


def set_digest(names: Sequence[str], known: tasks.Truth | None) -> str:
    """SHA-256 of the images' names below their folder, and of what is known of them.

    Scores of other images make no trend; the folder may lie elsewhere in each job of a CI.
    """
    folder = os.path.commonprefix(names).rpartition(os.sep)[0]  # noqa: RUF071  cut at a separator
    below = "\n".join(name[len(folder) :] for name in names)
    digest = hashlib.sha256(below.encode(errors="surrogateescape"))
    digest.update(truth.as_bytes(known))
    return digest.hexdigest()


def _converted(bundle: Bundle) -> list[str]:
    """That a bundle of a camera's planes judges photos with fewer colours than they have."""
    note = converted(bundle.manifest.preprocess)
    return [] if note is None else [f"{bundle.name}: {note}"]


def _places(lane: Lane) -> list[str]:
    """Where the reference ran, of bundles on a board."""
    if lane.reference is None or (lane.reference.bundle.device is None and lane.bundle.device is None):
        return []
    places = [one.device for one in (lane.reference.bundle, lane.bundle)]
    there, here = ("this machine" if one is None else one.name for one in places)
    return [f"{lane.reference.bundle.name}, the reference, ran on {there}, {lane.bundle.name} on {here}"]


def not_run(bundle: Bundle, reason: str) -> AccuracyReport:
    """The report of a bundle that cannot run here."""
    warnings = (f"{bundle.name} NOT RUN: {reason}",)
    return AccuracyReport(
        bundle.name, 0, 0, not_run=reason, warnings=warnings, record=record("accuracy", [bundle])
    )


def _warnings(report: AccuracyReport) -> tuple[str, ...]:
    found = [*report.warnings]
    found += skipped(report.skipped)
    if report.images < FEW:
        found.append(f"only {report.images} images to judge by: percentages of so few say little")
    if report.scores is not None:
        found += report.scores.doubts(report.bundle, report.classes)
    if report.scores is not None and report.labelled < report.images:
        unknown = report.images - report.labelled
        found.append(f"{unknown} of {report.images} images bear no label: all scores leave them out")
    if report.reference is not None:
        found += [f"{report.bundle}: {text}" for text in report.reference.warnings]
    return tuple(found)


def _against(lane: Lane, scores: tasks.Scores | None) -> ReferenceScores | None:
    if lane.reference is None or lane.reference_scorer is None:
        return None
    other, fidelity = lane.reference_scorer, lane.fidelity
    before = other.scores()
    own = tasks.drawn(scores)
    return ReferenceScores(
        name=lane.reference.bundle.name,
        device=None if lane.reference.bundle.device is None else lane.reference.bundle.device.name,
        agreement=lane.scorer.agreement(other) or fidelity.agreement,
        sqnr=fidelity.sqnr,
        sqnr_centred=fidelity.sqnr_centred,
        scores=before,
        lost=None if own is None else own.lost(before),
        warnings=fidelity_warnings(fidelity),
        outputs=fidelity.outputs,
        cosines=fidelity.cosines,
    )

"""How accuracies look: tables that hold at 80 columns, and files for a spreadsheet."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from edgeeff.cli import _masks
from edgeeff.cli.tables import NOT_RUN, decibels, new

if TYPE_CHECKING:
    from edgeeff.harness.accuracy_report import AccuracyReport, ReferenceScores
    from edgeeff.metrics import Proportion
    from edgeeff.tasks.detection import DetectionScores

#: Confusions and disagreements that are shown of a bundle.
SHOWN = 5


def _figure(value: float | Proportion | None) -> str:
    if value is None or isinstance(value, float):
        return _share(value)
    return _proportion(value)


def accuracy_table(reports: Sequence[AccuracyReport]) -> Table:
    """Accuracy against labels and against the float bundle: top-1, or F1 and mAP, as the task is."""
    scored = [report.scores for report in reports if report.scores is not None]
    tasks = tuple(dict.fromkeys(name for scores in scored for name in scores.cells()))
    made = new("bundle", ">images", *(f">{t}" for t in tasks), ">agreement", ">SQNR", ">points\nlost")
    cells = [cell for scores in scored for cell in scores.cells().items()]
    proportions = {"agreement", *(n for n, v in cells if not isinstance(v, float))}
    if any(report.reference is not None and report.reference.lost is not None for report in reports):
        proportions.add("points\nlost")
    made.collapse_padding = True  # so that it fits 80 characters, an interval under its value
    for column in made.columns:
        column.no_wrap = column.header not in proportions
    for report in reports:
        scores, reference = report.scores, report.reference
        shown = {} if scores is None else {name: _figure(value) for name, value in scores.cells().items()}
        named = report.bundle if report.via is None else f"{report.bundle}:\n{report.via}"
        made.add_row(
            "\nin ".join(named.split(" in ")),
            str(report.images) if report.not_run is None else NOT_RUN,
            *(shown.get(name, "") for name in tasks),
            _figure(reference.agreement) if reference else "",
            decibels(reference.sqnr) if reference else "",
            "" if report.drop is None else _lost(report.drop, reference),
        )
    return made


def _lost(points: float, reference: ReferenceScores | None) -> str:
    """Points lost, with their interval where there is one."""
    found = reference.lost if reference is not None else None
    return f"{points:.2f}" + (f" ({found.low:.2f}…{found.high:.2f})" if found is not None else "")


def detection_table(reports: Sequence[AccuracyReport]) -> Table | None:
    """Average precision by size, precision and recall at the threshold; None where no boxes were scored."""
    from edgeeff.tasks.detection import DetectionScores

    heads = (">AP75", ">AP\nsmall", ">AP\nmedium", ">AP\nlarge", ">AR\n100", ">preci-\nsion")
    made = new("bundle", *heads, ">recall", ">F1")
    made.collapse_padding = True
    for report in reports:
        scores = report.scores
        if isinstance(scores, DetectionScores):
            means = (
                scores.means[name] for name in ("map_75", "map_small", "map_medium", "map_large", "ar_100")
            )
            at = (scores.precision.value, scores.recall.value, scores.f1)
            figures = map(_share, (*means, *at))
            made.add_row(report.bundle, *figures)
    return made if made.row_count else None


def detection_lines(reports: Sequence[AccuracyReport]) -> list[str]:
    """What precision and recall are of; none where no boxes were scored."""
    from edgeeff.tasks.detection import DetectionScores

    thresholds = {r.scores.threshold for r in reports if isinstance(r.scores, DetectionScores)}
    if not thresholds:
        return []
    shown = " or ".join(f"{value:g}" for value in sorted(thresholds))
    return [f"precision, recall and F1: boxes of a score of {shown} or more, at an IoU of 0.5"]


def _share(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.3f}"


def per_class_table(report: AccuracyReport) -> Table | None:
    """Precision, recall and F1 of each class that occurs; None without labels."""
    from edgeeff.harness.per_class import per_class
    from edgeeff.tasks.detection import DetectionScores
    from edgeeff.tasks.segmentation import SegmentationScores

    if isinstance(report.scores, DetectionScores):
        return _per_class_of_boxes(report, report.scores)
    if isinstance(report.scores, SegmentationScores):
        return _masks.per_class(report, report.scores)
    if report.outcomes is None or not report.labelled:
        return None
    made = new("class", ">images", ">decided", ">right", ">precision", ">recall", ">F1", title=report.bundle)
    for one in per_class(report.outcomes):
        shares = ("" if share is None else f"{share:.3f}" for share in (one.precision, one.recall, one.f1))
        made.add_row(one.label, str(one.images), str(one.decided), str(one.right), *shares)
    return made


def _per_class_of_boxes(report: AccuracyReport, scores: DetectionScores) -> Table:
    made = new("class", ">boxes", ">found", ">right", ">precision", ">recall", ">F1", ">AP", ">AP50")
    made.title = report.bundle
    for one in scores.classes:
        shares = (one.precision, one.recall, one.f1, one.average, one.average_50)
        counts = (one.truths, one.found, one.right)
        made.add_row(report.labels[one.number], *map(str, counts), *map(_share, shares))
    return made


def confusion_table(reports: Sequence[AccuracyReport]) -> Table | None:
    """The most frequent confusions of each bundle; None where there is none."""
    from edgeeff.harness.per_class import confusions, worst

    made = new("bundle", ">images", "of class", "taken for")
    for report in reports:
        if report.outcomes is None:
            continue
        for number, one in enumerate(worst(confusions(report.outcomes), SHOWN)):
            named = [report.outcomes.named(which) for which in (one.truth, one.decided)]
            made.add_row("" if number else report.bundle, str(one.images), *named)
    return made if made.row_count else None


def calibration_lines(reports: Sequence[AccuracyReport]) -> list[str]:
    """How sure each bundle is against how often it is right."""
    lines = []
    for report in reports:
        found = getattr(report.scores, "calibration", None)
        if found is not None:
            lines.append(
                f"{report.bundle}: calibration error {found.error:.3f} in {len(found.images)} bins; "
                f"mean probability {found.mean:.1%}"
            )
    return lines


def comparison_lines(report: AccuracyReport) -> list[str]:
    """What a bundle's comparison says, in words."""
    from edgeeff.harness.drawn_comparison import DrawnComparison

    found = report.comparison
    if found is None:
        return []
    if isinstance(found, DrawnComparison):
        return found.lines
    lines = [f"{found.new} against {found.old}: {found.conclusion}"]
    differ = found.agreement.total - found.agreement.successes
    lines.append(f"  decisions differ on {differ} of {found.agreement.total} images")
    if found.loss is not None and found.bound is not None:
        lines.append(
            f"  lost {found.lost}, won {found.won} of {found.labelled} labelled images: "
            f"{found.loss:.2f} points lost, at most {found.bound:.2f}"
        )
        lines.append(
            f"  McNemar, exact, one-sided: worse p = {found.p_worse:.3g}, better p = {found.p_better:.3g}"
        )
        lines.append(f"  images that a margin of {found.margin:g} points needs: about {found.images_needed}")
    return lines


def disagreement_table(reports: Sequence[AccuracyReport]) -> Table | None:
    """The first images on which bundles disagree; None where there is none."""
    made = new("image", "truth", "the other\ndecides", "the bundle\ndecides")
    for report in reports:
        for one in report.comparison.disagreements[:SHOWN] if report.comparison else ():
            made.add_row("/".join(one.image.split("/")[-2:]), one.truth, one.old, one.new)
    return made if made.row_count else None


def confusion_csv(reports: Sequence[AccuracyReport]) -> str:
    """The cells of the confusion matrices that are not 0, a line each; of masks they count pixels."""
    from edgeeff.harness.per_class import confusions

    heads = ("bundle", "truth", "truth_name", "decided", "decided_name")
    if _masks.scored(reports):
        return _csv((*heads, "pixels"), _masks.cells(reports))
    return _csv(
        (*heads, "images"),
        (
            (r.bundle, c.truth, r.outcomes.named(c.truth), c.decided, r.outcomes.named(c.decided), c.images)
            for r in reports
            if r.outcomes is not None
            for c in confusions(r.outcomes)
        ),
    )


def disagreement_csv(reports: Sequence[AccuracyReport]) -> str:
    """Every image on which bundles disagree, a line each."""
    return _csv(
        ("bundle", "against", "image", "truth", "against_decided", "decided"),
        (
            (found.new, found.old, one.image, one.truth, one.old, one.new)
            for found in (report.comparison for report in reports)
            if found is not None
            for one in found.disagreements
        ),
    )


def _csv(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue()


def _proportion(value: Any) -> str:
    low, high = value.interval
    return f"{value.value:.1%} ({100 * low:.1f}…{100 * high:.1f})"

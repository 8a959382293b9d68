"""Masks in verbs: the options that say where they are, and how their scores look."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from edgeeff.cli.tables import new

if TYPE_CHECKING:
    from edgeeff.harness.accuracy_report import AccuracyReport
    from edgeeff.images import ImageSet
    from edgeeff.tasks.segmentation import SegmentationScores

_PANEL = "Masks"
#: Confusions that are shown of a bundle.
_SHOWN = 5


@dataclass(frozen=True)
class Masks:
    """Where masks of photos lie, and how they are read."""

    masks: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the photos' masks, called as the photos are. Default: masks that a list names, "
            "or that lie beside (images/val/1.jpg, masks/val/1.png).",
            rich_help_panel=_PANEL,
        ),
    ] = None
    ignore: Annotated[
        str | None,
        typer.Option(
            help="Numbers of masks that are not scored, such as 255,11. Default: 255.",
            rich_help_panel=_PANEL,
        ),
    ] = None
    palette: Annotated[
        Path | None,
        typer.Option(
            help="Which class each colour of RGB masks is: R G B name on each line, the first class 0.",
            rich_help_panel=_PANEL,
        ),
    ] = None

    @property
    def given(self) -> bool:
        """Whether one of them was."""
        return any(one is not None for one in (self.masks, self.ignore, self.palette))

    def of(self, images: ImageSet) -> ImageSet:
        """Images with the masks that these options speak of.

        Raises:
            EdgeeffError: There are none, or an option makes no sense.
        """
        from edgeeff.images.annotations import masks

        return masks.given(images, self.masks, masks.numbers(self.ignore), self.palette)


def scored(reports: Sequence[AccuracyReport]) -> list[tuple[AccuracyReport, SegmentationScores]]:
    """The reports whose scores are of masks."""
    from edgeeff.tasks.segmentation import SegmentationScores

    return [(one, one.scores) for one in reports if isinstance(one.scores, SegmentationScores)]


def lines(reports: Sequence[AccuracyReport]) -> list[str]:
    """How many pixels of each were scored, and what mIoU is of."""
    found = []
    for report, scores in scored(reports):
        said = scores.to_json()
        found.append(
            f"{report.bundle}: mIoU of {said['classes']} classes over {said['pixels']['scored']:,} pixels; "
            f"{said['pixels']['ignored']:,} ignored; mean class accuracy {scores.mean_accuracy:.3f}"
        )
    return found


def per_class(report: AccuracyReport, scores: SegmentationScores) -> Table:
    """IoU, precision and recall of each class."""
    made = new("class", ">images", ">pixels", ">IoU", ">precision", ">recall", ">F1", title=report.bundle)
    total = max(scores.pixels.total, 1)
    for one in scores.classes:
        shares = (one.iou, one.precision, one.recall, one.f1)
        shown = ("" if share is None else f"{share:.3f}" for share in shares)
        made.add_row(report.labels[one.number], str(one.images), f"{one.truths / total:.1%}", *shown)
    return made


def confusions(reports: Sequence[AccuracyReport]) -> Table | None:
    """The most frequent confusions of each bundle, by the share of the class's pixels; None without any."""
    made = new("bundle", ">of its\npixels", "of class", "taken for")
    for report, scores in scored(reports):
        whole = scores.confusion.sum(axis=1)
        wrong = [one for one in scores.confused if one["truth"] != one["decided"]]
        wrong.sort(key=lambda one: -one["pixels"])
        for number, one in enumerate(wrong[:_SHOWN]):
            decided = "nothing (NaN)" if one["decided"] < 0 else report.labels[one["decided"]]
            share = f"{one['pixels'] / whole[one['truth']]:.1%}"
            made.add_row("" if number else report.bundle, share, report.labels[one["truth"]], decided)
    return made if made.row_count else None


def cells(reports: Sequence[AccuracyReport]) -> Iterable[tuple[Any, ...]]:
    """The cells of the confusion matrices that are not 0: bundle, class, decision, pixels."""
    for report, scores in scored(reports):
        for one in scores.confused:
            decided = "?" if one["decided"] < 0 else report.labels[one["decided"]]
            yield (
                *(report.bundle, one["truth"], report.labels[one["truth"]], one["decided"], decided),
                one["pixels"],
            )

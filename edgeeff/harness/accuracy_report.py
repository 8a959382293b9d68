"""What an evaluation says of a bundle, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from edgeeff.bootstrap import Loss
from edgeeff.errors import OptionError
from edgeeff.harness.comparison import MARGIN, Comparison, compare
from edgeeff.harness.drawn_comparison import DrawnComparison, of_draws
from edgeeff.harness.outcomes import Outcomes
from edgeeff.harness.per_class import confusions, per_class
from edgeeff.harness.record import Record
from edgeeff.metrics import Proportion, json_number
from edgeeff.tasks import Scores, drawn
from edgeeff.tasks.classification import PRIMARY as TOP_1
from edgeeff.tasks.detection import DetectionScores
from edgeeff.tasks.segmentation import SegmentationScores


@dataclass(frozen=True)
class ReferenceScores:
    """Against a float bundle on the same pixels.

    Args:
        name: The reference's.
        agreement: Decisions that are the same: the class of an image; where labels do not exclude each
            other, whether a label is there, for each image and label; of embeddings the nearest other image.
            None where the task decides nothing.
        sqnr: Pooled over all values, dB; of several outputs the lowest.
        sqnr_centred: The same without each image's mean logit, dB ("cdB").
        scores: Those of the reference itself, where there are labels: what quantisation started from.
        warnings: An agreement under 95 %, an SQNR under 15 dB, logits that are not numbers.
        outputs: The SQNR of each output, by name, dB.
        cosines: The mean cosine of each embedding, by name.
        lost: Of average precision, or mean IoU, what was lost, with its interval; None where not known.
        device: The board that ran the reference; None: this machine.
    """

    name: str
    agreement: Proportion | None
    sqnr: float
    sqnr_centred: float
    scores: Scores | None
    warnings: tuple[str, ...]
    outputs: Mapping[str, float] = field(default_factory=dict)
    cosines: Mapping[str, float] = field(default_factory=dict)
    lost: Loss | None = None
    device: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "name": self.name,
            **({"device": self.device} if self.device else {}),
            "agreement": self.agreement.to_json() if self.agreement else None,
            "outputs": {name: {"sqnr_db": json_number(level)} for name, level in self.outputs.items()},
            **({"cosines": dict(self.cosines)} if self.cosines else {}),
            "sqnr_db": json_number(self.sqnr),
            "sqnr_centred_db": json_number(self.sqnr_centred),
            "scores": self.scores.to_json() if self.scores else None,
            **({"lost": self.lost.to_json()} if self.lost else {}),
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True)
class AccuracyReport:
    """What :func:`edgeeff.evaluate` says of one bundle.

    Args:
        bundle: The bundle's name.
        images: How many were run.
        labelled: How many of them bear a label.
        classes: Those of the network.
        skipped: Those that could not be decoded, with the reason.
        scores: Against the labels; None without any.
        reference: Against the float bundle; None without one.
        via: What was run, if it is not the bundle's own runtime: ``model.qdq.onnx in onnxruntime``.
        not_run: Why it was NOT RUN, if it was not.
        notes: How the files were read, where they are not 8-bit and upright: one sentence each.
        warnings: What the reader must not miss: how files were read and classes found where that is a guess,
            what was passed over, images that were skipped, too few of them, what the comparison with the
            reference warns of.
        record: Which run this is, of which bundles, when and where.
        metric: The task's own, which :attr:`drop` is of: ``top_1``, ``mean_average_precision``.
        outcomes: What was decided of each image, to compare bundles by; not part of the JSON. None where
            nothing is decided, or too many labels of an image are.
        comparison: With another bundle on the same images, if there was one (:meth:`against`).
        images_sha256: Of the images' names and labels, to tell whether two reports are of the same images.
        labels: The names of the network's classes; not part of the JSON.
    """

    bundle: str
    images: int
    labelled: int
    classes: int = 0
    skipped: Mapping[str, str] = field(default_factory=dict)
    scores: Scores | None = None
    reference: ReferenceScores | None = None
    via: str | None = None
    not_run: str | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    record: Record | None = None
    metric: str = TOP_1
    outcomes: Outcomes | None = field(default=None, repr=False)
    comparison: Comparison | DrawnComparison | None = None
    images_sha256: str | None = None
    labels: tuple[str, ...] = field(default=(), repr=False)

    @property
    def drop(self) -> float | None:
        """What quantisation cost: the reference's metric less the bundle's, percentage points."""
        before = self.reference.scores if self.reference is not None else None
        if self.scores is None or before is None:
            return None
        return 100.0 * (before.primary - self.scores.primary)

    @property
    def top_1_drop(self) -> float | None:
        """The same, where the metric is top-1."""
        return self.drop if self.metric == TOP_1 else None

    def against(
        self, other: AccuracyReport, margin: float = MARGIN, names: tuple[str, str] | None = None
    ) -> AccuracyReport:
        """The same with a comparison: this bundle against another one on the same images.

        Args:
            other: The other one's report.
            margin: The loss that is to be excluded, percentage points.
            names: What the two are called; None: by their bundles' names.

        Raises:
            OptionError: The decisions of one are not kept, or they have no image in common.
        """
        new, old = names or (self.bundle, other.bundle)
        own, theirs = drawn(self.scores), drawn(other.scores)
        if own is not None and theirs is not None:
            return replace(self, comparison=of_draws((new, own), (old, theirs), margin))
        if self.outcomes is None or other.outcomes is None:
            which = self if self.outcomes is None else other
            raise OptionError(
                f"{which.bundle} cannot be compared image by image: "
                + (which.not_run or "it puts out features, or more than 31 labels for an image"),
                mend="compare classifiers, or bundles of fewer labels",
            )
        found = compare((new, self.outcomes), (old, other.outcomes), margin)
        return replace(self, comparison=found)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        labelled = self.outcomes if self.outcomes is not None and self.labelled else None
        classes: list[dict[str, Any]] | None = (
            [one.to_json() for one in per_class(labelled)] if labelled else None
        )
        if isinstance(self.scores, DetectionScores | SegmentationScores):
            classes = [one.to_json(self.labels[one.number]) for one in self.scores.classes]
        confused = [vars(one) for one in confusions(labelled)] if labelled else None
        if isinstance(self.scores, SegmentationScores):
            confused = self.scores.confused
        return {
            "bundle": self.bundle,
            "images": self.images,
            "labelled": self.labelled,
            "images_sha256": self.images_sha256,
            "skipped": dict(self.skipped),
            "scores": self.scores.to_json() if self.scores else None,
            "per_class": classes,
            "confusion": confused,
            "comparison": self.comparison.to_json() if self.comparison else None,
            "reference": self.reference.to_json() if self.reference else None,
            "top_1_drop_points": self.top_1_drop,
            "metric": self.metric,
            "drop_points": None if self.drop is None else json_number(self.drop),
            "via": self.via,
            "status": "ok" if self.not_run is None else "NOT RUN",
            "reason": self.not_run,
            "notes": list(self.notes),
            "warnings": list(self.warnings),
            "record": self.record.to_json() if self.record else None,
        }

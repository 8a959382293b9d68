"""How good a bundle is: against labels, against a float bundle, or both, in one pass over the images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeeff import shortage, tasks
from edgeeff.bundle import MANIFEST, Bundle
from edgeeff.errors import OptionError
from edgeeff.harness import truth
from edgeeff.harness.judging import Judge, Judged
from edgeeff.harness.record import Record, record
from edgeeff.harness.verify import FEW, fidelity_warnings
from edgeeff.images import ImageSet
from edgeeff.images.image_set import skipped
from edgeeff.images.survey import Survey, survey
from edgeeff.metrics import Proportion, json_number
from edgeeff.progress import Count, Progress, Recorder
from edgeeff.recipes import open_source
from edgeeff.tasks import Scores
from edgeeff.tasks.classification import PRIMARY as TOP_1
from edgeeff.watched import Watched


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
    """

    name: str
    agreement: Proportion | None
    sqnr: float
    sqnr_centred: float
    scores: Scores | None
    warnings: tuple[str, ...]
    outputs: Mapping[str, float] = field(default_factory=dict)
    cosines: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "name": self.name,
            "agreement": self.agreement.to_json() if self.agreement else None,
            "outputs": {name: {"sqnr_db": json_number(level)} for name, level in self.outputs.items()},
            **({"cosines": dict(self.cosines)} if self.cosines else {}),
            "sqnr_db": json_number(self.sqnr),
            "sqnr_centred_db": json_number(self.sqnr_centred),
            "scores": self.scores.to_json() if self.scores else None,
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True)
class AccuracyReport:
    """What :func:`evaluate` found.

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

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "bundle": self.bundle,
            "images": self.images,
            "labelled": self.labelled,
            "skipped": dict(self.skipped),
            "scores": self.scores.to_json() if self.scores else None,
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


@shortage.told("judging a bundle", shortage.RUNNING)
def evaluate(
    bundle: Bundle | Path | str,
    images: ImageSet | Path | str,
    *,
    labels: Sequence[int] | npt.NDArray[np.int64] | None = None,
    reference: Bundle | Path | str | None = None,
    white: float | None = None,
    threshold: float | None = None,
    threads: int = 1,
    via: str | None = None,
    progress: Progress | Count | None = None,
    warn: Callable[[str], None] | None = None,
) -> AccuracyReport:
    """Run a bundle over images and say how good it is.

    Memory does not grow with their number, but for embeddings: each is compared with all others.

    Args:
        bundle: A bundle or its folder.
        images: An image set, or what :func:`edgeeff.recipes.open_source` takes.
        labels: The class of each image, −1 where unknown; instead of those that the images bear. Where labels
            do not exclude each other 1, 0 or −1 for each image and label, [N, labels].
        reference: A float bundle or its folder; it sees the very pixels that the bundle sees.
        white: The value that is white in images of more than 8 bits, instead of the bundle's.
        threshold: Of a label's probability, instead of the bundle's; for multilabel.
        threads: Of the runtime.
        via: ``onnxruntime``: a bundle that holds an ONNX graph (TensorRT's) is judged by that graph in
            onnxruntime, which says nothing of its engine; others by their own runtime. None: all so.
        progress: Told of each batch and warned, as the build's is; or a plain function, called after each
            batch with the images done and all of them.
        warn: Called with each of the report's warnings; None: they go to ``progress``, or to Python.

    Raises:
        OptionError: Neither labels nor a reference; or a reference of another input size or other classes.
        LabelsError: Not one label for each image, or a label outside the network's classes.
        ImageError: Not one image could be decoded.
        MissingRuntimeError: The runtime of the bundle or of the reference is not installed.
        ChangedFileError: An image or a bundle changed meanwhile.
    """
    bundle, floating = _as_bundle(bundle), None if reference is None else _as_bundle(reference)
    opened = images if isinstance(images, ImageSet) else open_source(images)
    images, known = truth.read(opened, labels, bundle.manifest)
    listener = Recorder.of(progress)
    listener.stage(f"judging {bundle.name}", len(images))
    if known is None and floating is None:
        raise _nothing_to_judge_by()
    both, watched = [bundle, floating] if floating is not None else [bundle], Watched()
    watched.add(one.folder / MANIFEST for one in both)
    watched.add(picture.path for picture in images.pictures)
    looked = survey(images.pictures, bundle.manifest.preprocess.with_white(white))
    begun = record("accuracy", both)
    judge = Judge.of(bundle, floating, threshold=threshold, threads=threads, via=via)
    judge.hold(images, looked.preprocess, known, listener.advance)
    watched.refuse_changed()
    report = replace(_report(bundle, judge, images, looked), record=begun)
    report = replace(report, warnings=_warnings(report))
    for text in report.warnings:
        (warn or listener.warn)(text)
    return report


def _nothing_to_judge_by() -> OptionError:
    return OptionError(
        "there is nothing to judge by: the images bear no labels, and no reference is named",
        mend="label the images (a folder for each class, a list file, an .npz), or name a float bundle",
    )


def _report(bundle: Bundle, judge: Judge, images: ImageSet, looked: Survey) -> AccuracyReport:
    """What the runs say, and how the images were read."""
    scores = judge.own.scorer.scores()
    return AccuracyReport(
        bundle=bundle.name,
        images=judge.images,
        labelled=0 if scores is None else scores.images,
        classes=bundle.manifest.classes,
        skipped=dict(images.bad),
        scores=scores,
        reference=None if judge.reference is None else _against(judge.reference, judge),
        via=judge.via,
        metric=tasks.room(bundle.manifest.task).PRIMARY,
        notes=(*images.notes, *looked.lines),
        warnings=(*bundle.plugin_warnings(), *images.warnings, *looked.warnings),
    )


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


def _as_bundle(bundle: Bundle | Path | str) -> Bundle:
    return bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)


def _against(reference: Judged, judge: Judge) -> ReferenceScores:
    other, fidelity = reference.scorer, judge.fidelity
    agreement = judge.own.scorer.agreement(other) or fidelity.agreement
    return ReferenceScores(
        name=reference.bundle.name,
        agreement=agreement,
        sqnr=fidelity.sqnr,
        sqnr_centred=fidelity.sqnr_centred,
        scores=other.scores(),
        warnings=fidelity_warnings(fidelity),
        outputs=fidelity.outputs,
        cosines=fidelity.cosines,
    )

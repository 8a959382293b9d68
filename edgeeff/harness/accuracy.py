"""How good bundles are: against labels, against a float bundle, or both, in one pass over the images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL

from edgeeff import shortage
from edgeeff.bundle import MANIFEST, Bundle
from edgeeff.errors import MissingRuntimeError, OptionError
from edgeeff.harness import judging, opening, reporting, where
from edgeeff.harness.accuracy_report import AccuracyReport as AccuracyReport
from edgeeff.harness.accuracy_report import ReferenceScores as ReferenceScores
from edgeeff.harness.judging import Group, How, Lane
from edgeeff.harness.opening import Asked, as_bundle
from edgeeff.harness.record import record
from edgeeff.harness.resuming import Keeper, Resume, told_if_lost
from edgeeff.harness.stopping import delayed
from edgeeff.images import ImageSet
from edgeeff.progress import Count, Progress, Recorder
from edgeeff.recipes import open_to_judge
from edgeeff.watched import Watched


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
    resume: Path | str | None = None,
) -> AccuracyReport:
    """Run a bundle over images and say how good it is.

    Memory does not grow with their number, but for embeddings: each is compared with all others.

    Args:
        bundle: A bundle or its folder.
        images: An image set, or what :func:`edgeeff.recipes.open_to_judge` takes.
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
        resume: A folder in which a long run keeps its state: the same call goes on where one that was cut off
            stopped, and gives what it would have given. None: nothing is kept.

    Raises:
        OptionError: Neither labels nor a reference; or a reference of another input size or other classes.
        LabelsError: Not one label for each image, or a label outside the network's classes.
        ImageError: Not one image could be decoded.
        MissingRuntimeError: The runtime of the bundle or of the reference is not installed.
        ChangedFileError: An image or a bundle changed meanwhile.
    """
    how = How(threshold, threads, via)
    (report,) = _evaluate([bundle], images, labels, reference, white, how, progress, warn, Resume.of(resume))
    return report


@shortage.told("judging bundles", shortage.RUNNING)
def evaluate_all(
    bundles: Sequence[Bundle | Path | str],
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
    resume: Resume | Path | str | None = None,
) -> list[AccuracyReport]:
    """Run several bundles over the same images in one pass: each image is decoded once.

    Each report says what :func:`evaluate` of that bundle alone says. A bundle whose runtime is not here is
    NOT RUN in its report, and the others are judged. Arguments and errors are those of :func:`evaluate`;
    ``resume`` may be a :class:`Resume` too, which can throw the state of an earlier run away.

    Raises:
        OptionError: There is no bundle.
        MissingRuntimeError: Not one of the bundles can be run here, or the reference cannot.
    """
    if not bundles:
        raise OptionError("there is no bundle to judge", mend="name one at least")
    how = How(threshold, threads, via)
    return _evaluate(bundles, images, labels, reference, white, how, progress, warn, Resume.of(resume))


def _evaluate(
    named: Sequence[Bundle | Path | str],
    source: ImageSet | Path | str,
    labels: Any,
    reference: Bundle | Path | str | None,
    white: float | None,
    how: How,
    progress: Progress | Count | None,
    warn: Callable[[str], None] | None,
    resume: Resume | None,
) -> list[AccuracyReport]:
    bundles, floating = [*map(as_bundle, named)], None if reference is None else as_bundle(reference)
    images = open_to_judge(source)
    known = opening.known(bundles, images, labels)
    listener = Recorder.of(progress)
    what = bundles[0].name if len(bundles) == 1 else f"{len(bundles)} bundles"
    listener.stage(f"judging {what}", len(images))
    watched = Watched()
    watched.add(one.folder / MANIFEST for one in (*bundles, *([floating] if floating else [])))
    watched.add(path for one in known[0][0].pictures for path in (one.path, one.mask) if path)
    asked = opening.ask(bundles, floating, known, white)
    places = {id(bundle.device): where.of(bundle.device) for bundle in bundles}
    records = [
        record("accuracy", [b, floating] if floating else [b], place=places[id(b.device)]) for b in bundles
    ]
    lanes = opening.lanes_of(asked, floating, how)
    groups = opening.grouped(asked, lanes)
    troubles: list[str] = []
    keeper, start = None, 0
    if resume is not None:
        facts = {"environment": records[0].environment, "pillow": PIL.__version__, "threads": how.threads}
        if any(one.device is not None for one in records):
            facts["places"] = [[one.device, one.environment, one.host] for one in records]
        keeper = Keeper.of(resume.folder, images, groups, facts, listener.tell, troubles.append)
        start = keeper.restore(anew=resume.anew)
    keep = keeper.keep if keeper is not None else None
    told_to_stop = delayed(keeper.stop) if keeper is not None else nullcontext()
    # Images are read ahead: one that is written meanwhile may be damaged in any way.
    if start:
        listener.advance(start)
    with watched, told_to_stop, told_if_lost(keeper, listener.tell):
        judging.run(images, groups, listener.advance, start=start, keep=keep)
    try:
        watched.refuse_changed()
    finally:
        if keeper is not None:
            keeper.remove()
    reports = _reports(asked, lanes, groups, [str(picture) for picture in images.pictures])
    images.bad.clear()
    images.bad.update(next(report.skipped for report in reports if report.not_run is None))
    reports = [
        replace(one, record=begun, warnings=(*troubles, *one.warnings))
        for one, begun in zip(reports, records, strict=True)
    ]
    for text in dict.fromkeys(text for report in reports for text in report.warnings):
        (warn or listener.warn)(text)
    return reports


def _reports(
    asked: Sequence[Asked],
    lanes: Sequence[Lane | MissingRuntimeError],
    groups: Sequence[Group],
    names: Sequence[str],
) -> list[AccuracyReport]:
    """What was found out about each bundle; ``names`` are those of the images."""
    reports = []
    for one, lane in zip(asked, lanes, strict=True):
        if isinstance(lane, MissingRuntimeError):
            reports.append(reporting.not_run(one.bundle, lane.what))
        else:
            group = next(group for group in groups if lane in group.lanes)
            reports.append(reporting.report(one.images, one.looked, lane, group, names))
    return reports

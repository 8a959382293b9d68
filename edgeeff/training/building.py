"""Bundles of what was trained a moment ago: its photos calibrate, those that judged it judge them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from edgeeff.cache import Cache
from edgeeff.errors import EdgeeffError
from edgeeff.files import TEMPORARY, write_file
from edgeeff.harness.accuracy import evaluate
from edgeeff.images import ImageSet, Picture
from edgeeff.images.annotations import Truth
from edgeeff.images.annotations.masks import Known
from edgeeff.images.classes import Labelling
from edgeeff.pipeline.build import build
from edgeeff.pipeline.built import Built
from edgeeff.progress import Recorder
from edgeeff.training.photos.labelled import Labelled
from edgeeff.training.setting import Setting


@dataclass(frozen=True)
class Judged:
    """A bundle and what it is worth.

    Args:
        built: The bundle.
        scores: On the photos that judge; empty where it cannot be run here.
        value: Of the metric that decides; None likewise.
        lost: By how much it is lower than the network's own, points; None likewise.
    """

    built: Built
    scores: Mapping[str, Any]
    value: float | None
    lost: float | None

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "bundle": str(self.built.bundle.folder),
            "scores": dict(self.scores),
            "value": self.value,
            "lost_points": self.lost,
            "warnings": list(self.built.warnings),
        }


def bundles(
    setting: Setting, checkpoint: Path, float_score: float, cache: Cache, progress: Recorder
) -> list[Judged]:
    """Build what was asked for, and judge it by labels where it can be run here.

    Raises:
        EdgeeffError: A build fails; the checkpoint stands.
    """
    outcome, data = setting.request.outcome, setting.data
    if not outcome.build:
        return []
    with TemporaryDirectory(prefix=TEMPORARY, ignore_cleanup_errors=True) as folder:
        photos = setting.request.photos
        calibration = _listed(Path(folder) / "calibration.txt", data.train) or photos.photos
        judging = _listed(Path(folder) / "validation.txt", data.validation) or photos.validation
        found = build(
            checkpoint=checkpoint,
            targets=outcome.build,
            output=outcome.bundles,
            calibration=calibration,
            validation=judging,
            cache=cache,
            progress=progress,
        )
    return [_judged(one, setting, float_score, progress) for one in found]


def _listed(path: Path, photos: Labelled) -> Path | None:
    """Photos as a list; None where a path does not name each of them."""
    if any(p.index is not None or p.crop is not None for p in photos.pictures):
        return None
    write_file(path, "".join(f"{p.path.absolute()}\n" for p in photos.pictures).encode())
    return path


def _judged(built: Built, setting: Setting, float_score: float, progress: Recorder) -> Judged:
    """What a bundle is worth on the photos that judge, by their labels."""
    progress.stage(f"judging {built.bundle.name} by the labels")
    try:
        scores = evaluate(built.bundle, _judging(setting), progress=progress).scores
    except EdgeeffError as error:
        progress.tell(f"{built.bundle.name}: NOT RUN against labels: {error.what}")
        scores = None
    if scores is None:
        return Judged(built, {}, None, None)
    value = float(scores.primary)
    return Judged(built, scores.to_json(), value, 100 * (float_score - value))


def _judging(setting: Setting) -> ImageSet:
    """The photos that judge, with what is known of them by the network's own classes."""
    judging = setting.data.validation
    known = judging.truth.tolist()
    if isinstance(known[0], Known):
        return ImageSet(judging.pictures, masks=known[0].rule)
    if not isinstance(known[0], Truth):
        return ImageSet(_known(judging))
    pictures = tuple(replace(p, boxes=boxes) for p, boxes in zip(judging.pictures, known, strict=True))
    return ImageSet(pictures, labelling=Labelling(boxes=tuple(setting.data.classes)))


def _known(photos: Labelled) -> tuple[Picture, ...]:
    """Photos that bear the network's own numbers."""
    rows: Sequence[Any] = photos.truth.tolist()
    several = np.ndim(photos.truth) == 2
    return tuple(
        replace(p, row=tuple(known), label=-1, class_name=None)
        if several
        else replace(p, row=None, label=known, class_name=None)
        for p, known in zip(photos.pictures, rows, strict=True)
    )

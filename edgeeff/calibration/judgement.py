"""All that is said of the calibration images, together: what they show, their domain, their preprocessing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeeff.calibration import content, domain, trial
from edgeeff.calibration.content import ContentReport
from edgeeff.calibration.domain import DomainReport
from edgeeff.calibration.statistics import Statistics
from edgeeff.calibration.trial import TrialReport
from edgeeff.images import ImageSet
from edgeeff.preprocess import Preprocess

if TYPE_CHECKING:
    import onnx_ir as ir


@dataclass(frozen=True)
class Judgement:
    """The three reports. Images go by their numbers: another folder may hold the same set."""

    content: ContentReport
    trial: TrialReport
    domain: DomainReport

    def warnings(self, names: Sequence[object]) -> tuple[str, ...]:
        """What the user should know, one line each; ``names`` are all images', by number."""
        return (*self.content.warnings(names), *self.trial.warnings, *self.domain.warnings)

    @property
    def line(self) -> str:
        """How far the images are from what the network was trained on, or that it was NOT RUN, and why."""
        if self.domain.distance is None:
            return f"domain   NOT RUN: {self.domain.not_run}"
        line = (
            f"domain   activations {self.domain.distance:.2f} standard deviations from what the network was "
            f"trained on; up to {self.domain.limit:.2f} is in its domain"
        )
        if self.domain.transfer:
            line += (
                f"\n         but its head tells these images apart ({self.domain.told_apart:.2f} of 1):"
                "\n         a frozen backbone, whose batch normalisation remembers other images"
            )
        return line

    def to_json(self) -> dict[str, Any]:
        """As plain data, for the cache and ``--json``."""
        return {part: getattr(self, part).to_json() for part in ("content", "trial", "domain")}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Judgement:
        """The reverse of :meth:`to_json`."""
        return cls(
            ContentReport.from_json(data["content"]),
            TrialReport.from_json(data["trial"]),
            DomainReport.from_json(data["domain"]),
        )

    def to_bytes(self) -> bytes:
        """:meth:`to_json` as text."""
        return json.dumps(self.to_json()).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Judgement:
        """The reverse of :meth:`to_bytes`."""
        return cls.from_json(json.loads(data))


def at_sight(
    model: ir.Model, preprocess: Preprocess, images: ImageSet, *, force: bool = False
) -> TrialReport:
    """Look at a few images, spread over the set, before calibration begins.

    Returns:
        What trying other preprocessings found. Of no images that can be decoded there is nothing to say.

    Raises:
        CalibrationError: All of them are blank or noise, and it is not forced.
    """
    spread = np.unique(np.linspace(0, len(images) - 1, min(trial.IMAGES, len(images))).astype(int))
    few = ImageSet(tuple(images.pictures[i] for i in spread))
    examination = content.Examination(few.pictures, force=True)
    batches = []
    for pixels, numbers in few.batches(preprocess):
        examination.add(pixels, numbers)
        batches.append(pixels)
    if not batches:
        return TrialReport((), 0, "no image could be decoded")
    seen = examination.report()
    if seen.photos == 0 and not force:
        seen.refuse(few.pictures)
    return trial.compare(model, preprocess, np.concatenate(batches))


def judge(
    model: ir.Model,
    statistics: Statistics,
    seen: ContentReport,
    tried: TrialReport,
    told_apart: Callable[[], float | None] = lambda: None,
) -> Judgement:
    """Put together what is known once calibration has run.

    ``told_apart`` asks the network's head (:func:`transfer.told_apart`), where images lie outside the domain
    and no other preprocessing comes nearer: wrong preprocessing may well leave the head decided.
    """
    found = domain.judge(domain.expected(model), statistics)
    if found.beyond and tried.suits:
        found = replace(found, told_apart=told_apart())
    return Judgement(seen, tried, found)

"""A detector's checkpoint, read and understood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from edgeeff.errors import CheckpointError, OptionError
from edgeeff.labels import without_background
from edgeeff.zoo import catalog, namings
from edgeeff.zoo.accounting import Accounted
from edgeeff.zoo.checkpoint_options import Chosen
from edgeeff.zoo.detection import efficientdet, fitting, origin
from edgeeff.zoo.detection.conventions import DetectorConventions
from edgeeff.zoo.detection.efficientdet import EfficientDet
from edgeeff.zoo.detection.origin import DetectorOrigin
from edgeeff.zoo.detection.spec import DetectorSpec
from edgeeff.zoo.formats import WeightsFile

#: The end of the name of a tensor that holds the anchors themselves, as corners y1 x1 y2 x2 in pixels.
_ANCHORS = "anchors.boxes"
#: Libraries that have detectors with weights of fusion of which the authors' have none.
_WEIGHTED = ("effdet",)
#: Libraries in which features are added unless weights are asked for (xuannianz's ``weighted_bifpn``).
_UNWEIGHTED = ("xuannianz",)


@dataclass(frozen=True)
class DetectorCheckpoint:
    """A checkpoint of a detector.

    Args:
        spec: The detector that it is of.
        tensors: Its tensors by our names, float32.
        naming: Whose names the file's tensors had (a file of ``namings/``).
        origin: Whose network it is, and what that decides.
        labels: The classes' names, if it has them.
        given: What the file says of preprocessing.
    """

    spec: DetectorSpec
    tensors: Mapping[str, Tensor]
    naming: str
    origin: DetectorOrigin
    labels: tuple[str, ...] | None
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def classes(self) -> int:
        """Of objects; background is none."""
        return efficientdet.classes_of(self.tensors, efficientdet.fitted(self.spec, self.tensors))

    def network(
        self, size: tuple[int, int] | None = None, conventions: DetectorConventions | None = None
    ) -> EfficientDet:
        """The network in eval mode, for images of ``size`` (height, width) or its origin's.

        Raises:
            OptionError: No such size is possible.
        """
        size = size or self.origin.preprocess.size
        return efficientdet.trained(self.spec, self.tensors, size, conventions or self.origin.conventions)


def understand(
    file: WeightsFile, accounted: Accounted, path: Path, model: str | None, chosen: Chosen | None
) -> DetectorCheckpoint:
    """Find which detector a file's tensors are of, and whose.

    Args:
        file: As it was read.
        accounted: Each of its tensors in its place; its naming is one of detectors.
        path: Of the file.
        model: A name that :func:`catalog.get` understands; None: the detector that the tensors fit.
        chosen: What the user says of it.

    Raises:
        CheckpointError: It is of no detector or another one, or says two things at once.
        OptionError: An option that detectors do not have.
        UnknownModelError: No such network.
    """
    model = model or file.model
    if chosen and chosen.head:
        raise OptionError(f"--head for {path}, which is a detector", mend="leave it out")
    candidates = [_named(model, path)] if model else fitting.which(file.tensors, accounted, path)
    names = [name for name in (model, file.said, path.stem, path.name, path.parent.name) if name]
    spec = next((s for s in map(catalog.understood, names) if s in candidates), None)
    warnings = [] if spec or len(candidates) == 1 else [_several(candidates)]
    chosen_spec = spec if isinstance(spec, DetectorSpec) else candidates[0]
    tensors, own = fitting.fit(file.tensors, accounted, chosen_spec, path)
    architecture = efficientdet.fitted(own, tensors)
    classes = efficientdet.classes_of(tensors, architecture)
    labels = _labels(file, classes, path)
    said = next((n for n in names if n != chosen_spec.name and catalog.understood(n) == chosen_spec), None)
    given = {**file.preprocess, **accounted.preprocess}
    whose = (chosen.origin if chosen else None) or accounted.naming
    found = origin.of(whose, own, said, given, architecture.backbone.inputs)
    if whose != accounted.naming:
        found = replace(found, notes=(*found.notes, f"computed as {whose}'s, as --origin says"))
    found = _as_said(file, found)
    warnings += _contradictions(file, chosen_spec, classes)
    warnings += _of_anchors(file.tensors, found)
    warnings += _of_fusion(chosen_spec, own, accounted.naming)
    return DetectorCheckpoint(
        spec=own,
        tensors=tensors,
        naming=accounted.naming,
        origin=replace(
            found,
            notes=(*file.lines, *accounted.notes, *found.notes),
            assumed=(*found.assumed, *accounted.assumed),
            warnings=(
                *found.warnings,
                *namings.warnings(),
                *file.warnings,
                *accounted.warnings,
                *warnings,
            ),
        ),
        labels=labels,
        given=given,
    )


def _as_said(file: WeightsFile, found: DetectorOrigin) -> DetectorOrigin:
    """The origin with what the file itself says of how it computes and of its anchors."""
    if isinstance(file.conventions, DetectorConventions):
        found = replace(found, conventions=file.conventions)
    if file.geometry is not None:
        found = replace(found, geometry=replace(file.geometry, size=found.preprocess.size))
    return found


def _labels(file: WeightsFile, classes: int, path: Path) -> tuple[str, ...] | None:
    """The classes' names that a file holds; None: it holds none."""
    labels = None if file.labels is None else without_background(file.labels, classes)
    if labels is not None and len(labels) != classes:
        raise CheckpointError(
            f"{path} names {len(labels)} classes, but its class head has {classes}",
            mend="correct the list of classes in the checkpoint, or save the state_dict without it",
        )
    return labels


def _contradictions(file: WeightsFile, spec: DetectorSpec, classes: int) -> list[str]:
    """Warnings of what a file says of itself and its tensors do not."""
    found = [
        f"the file says {name} is {count}, and its class head has {classes} classes"
        for name, count in file.counts.items()
        if count != classes
    ]
    other = catalog.understood(file.said) if file.said else None
    if other is not None and other != spec:
        found.append(f"the file says {file.said}, and its tensors are those of {spec.name}")
    return found


def _of_fusion(authors: DetectorSpec, own: DetectorSpec, naming: str) -> list[str]:
    """Warnings of weights of fusion that a file has, or has not, other than its authors' network."""
    if authors.weighted and not own.weighted and naming not in _UNWEIGHTED:
        return [
            f"the file holds no weights of fusion, which the authors' {own.name} has: features are added "
            "instead; if they were left out by mistake, its boxes are wrong: pass the whole checkpoint"
        ]
    if own.weighted and not authors.weighted and naming not in _WEIGHTED:
        return [
            f"the file holds weights of fusion, which the authors' {own.name} has not: they are used, and "
            "what else it does otherwise is not known"
        ]
    return []


def _named(model: str, path: Path) -> DetectorSpec:
    """The detector that the user names."""
    spec = catalog.get(model)
    if not isinstance(spec, DetectorSpec):
        raise CheckpointError(
            f"{path} is a detector, and {spec.name} is a classifier",
            mend="leave --model out: the tensors say which detector it is",
        )
    return spec


def _several(candidates: list[DetectorSpec]) -> str:
    """What is said where neither tensors nor names tell two detectors apart."""
    first, *others = candidates
    ways = " or ".join(f"--model {spec.name} (anchors of scale {spec.scale:g})" for spec in others)
    return (
        f"it may be {' or '.join(spec.name for spec in candidates)}, which have the same tensors: taken for "
        f"{first.name} (anchors of scale {first.scale:g}); if it is another, its boxes are wrong: pass "
        f"{ways}, or --model {first.name} if that is right"
    )


def _of_anchors(tensors: Mapping[str, Tensor], found: DetectorOrigin) -> list[str]:
    """Whether the anchors that a file holds as a tensor are those that its boxes will be decoded with."""
    held = next((t for key, t in tensors.items() if key.endswith(_ANCHORS) and t.dim() == 2), None)
    if held is None:
        return []
    own, theirs = found.geometry.anchors(), held.detach().float().numpy()
    if theirs.shape != own.shape:
        height, width = found.geometry.size
        return [
            f"the file holds {len(theirs)} anchors, and for images of {height} x {width} pixels there are "
            f"{len(own)}: if it was trained at another size, pass it (--size)"
        ]
    if not np.allclose(theirs, own, atol=0.01):
        off = float(np.abs(theirs - own).max())
        return [
            f"the file's own anchors differ from those that its boxes are decoded with by up to {off:.1f} "
            "pixels: it was trained with other ratios or another scale of anchors"
        ]
    return []

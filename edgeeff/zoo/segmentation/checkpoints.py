"""A segmenter's checkpoint, read and understood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edgeeff.errors import CheckpointError, OptionError
from edgeeff.zoo import catalog, namings
from edgeeff.zoo.accounting import Accounted, headless
from edgeeff.zoo.checkpoint_options import Chosen
from edgeeff.zoo.conventions import Conventions
from edgeeff.zoo.formats import WeightsFile
from edgeeff.zoo.segmentation import decoders, fitting, origin, segmenter, settings
from edgeeff.zoo.segmentation.conventions import SegmenterConventions
from edgeeff.zoo.segmentation.fitting import Fitted
from edgeeff.zoo.segmentation.origin import SegmenterOrigin
from edgeeff.zoo.segmentation.segmenter import BACKBONE, DECODER, Segmenter
from edgeeff.zoo.segmentation.spec import SegmenterSpec
from edgeeff.zoo.spec import ModelSpec


@dataclass(frozen=True)
class SegmenterCheckpoint:
    """A checkpoint of a segmenter.

    Args:
        spec: The segmenter that it is of.
        tensors: Its tensors by our names, float32.
        naming: Whose names the file's tensors had (a file of ``namings/``).
        origin: Whose network it is, and what that decides.
        labels: The classes' names, if it has them.
        given: What the file says of preprocessing.
        ends_in: What stands behind the logits, where the file says it.
    """

    spec: SegmenterSpec
    tensors: Mapping[str, Tensor]
    naming: str
    origin: SegmenterOrigin
    labels: tuple[str, ...] | None
    given: Mapping[str, Any] = field(default_factory=dict)
    ends_in: str = ""

    @property
    def classes(self) -> int:
        """Of a pixel."""
        return int(self.tensors[f"{DECODER}{decoders.decoder(self.spec.decoder).CLASSES_AT}"].shape[0])

    def network(
        self, size: tuple[int, int] | None = None, conventions: SegmenterConventions | None = None
    ) -> Segmenter:
        """The network in eval mode, for images of ``size`` (height, width) or its origin's.

        Raises:
            OptionError: No such size is possible.
        """
        size = size or self.origin.preprocess.size
        return segmenter.trained(self.spec, self.tensors, size, conventions or self.origin.conventions)


def understand(
    file: WeightsFile, accounted: Accounted, path: Path, model: str | None, chosen: Chosen | None
) -> SegmenterCheckpoint:
    """Find which segmenter a file's tensors are of, and whose.

    Args:
        file: As it was read.
        accounted: Each of its tensors in its place; its naming is one of segmenters.
        path: Of the file.
        model: A name that :func:`catalog.get` understands; None: the segmenter that the tensors fit.
        chosen: What the user says of it.

    Raises:
        CheckpointError: It is of no segmenter or another one, or says two things at once.
        OptionError: An option that segmenters do not have.
        UnknownModelError: No such network.
    """
    for option, value in (("--head", chosen and chosen.head), ("--origin", chosen and chosen.origin)):
        if value:
            raise OptionError(f"{option} for {path}, which is a segmenter", mend="leave it out")
    fitted = fitting.fit(file.tensors, accounted, path, _named(model, path))
    if model is not None:
        _refuse_other(model, fitted.spec, path)
    fitted, notes = _with_background(fitted)
    classes = int(fitted.tensors[f"{DECODER}{decoders.decoder(fitted.spec.decoder).CLASSES_AT}"].shape[0])
    if file.labels is not None and len(file.labels) != classes:
        raise CheckpointError(
            f"{path} names {len(file.labels)} classes, and its masks have {classes}",
            mend="correct the list of classes in the checkpoint, or save the state_dict without it",
        )
    applied = _applied(file, accounted, fitted.spec, fitted.tensors, path)
    own = applied.origin
    left = _notes(fitted, accounted, file)
    return SegmenterCheckpoint(
        spec=fitted.spec,
        tensors=fitted.tensors,
        naming=accounted.naming,
        origin=replace(
            own,
            notes=(*file.lines, *accounted.notes, *left, *notes, *own.notes),
            assumed=(*own.assumed, *accounted.assumed),
            warnings=(
                *own.warnings,
                *namings.warnings(),
                *file.warnings,
                *accounted.warnings,
                *_contradictions(file, fitted.spec, classes),
            ),
        ),
        labels=file.labels,
        given={**file.preprocess, **accounted.preprocess},
        ends_in=applied.ends_in or file.ends_in,
    )


def _applied(
    file: WeightsFile, accounted: Accounted, spec: SegmenterSpec, tensors: Mapping[str, Tensor], path: Path
) -> settings.Applied:
    """The origin, with what the file says of its network."""
    names = [name for name in (file.said, path.stem, path.parent.name) if name]
    said = next((name for name in names if _backbone(name) == spec.backbone), None)
    given = {**file.preprocess, **accounted.preprocess}
    inputs = int(tensors[f"{BACKBONE}stem.conv.weight"].shape[1])
    found = origin.of(accounted.naming, spec, said, given, inputs)
    if isinstance(file.conventions, SegmenterConventions):
        found = replace(found, conventions=file.conventions)
    elif isinstance(file.conventions, Conventions):
        found = replace(found, conventions=replace(found.conventions, backbone=file.conventions))
    return settings.applied(found, spec, file.network, path)


def _backbone(name: str) -> ModelSpec | None:
    """The encoder that a name means, if it means one."""
    found = catalog.understood(name.removeprefix("tu-"))  # smp's way to name timm's networks
    if isinstance(found, SegmenterSpec):
        return found.backbone
    return found if isinstance(found, ModelSpec) else None


def _named(model: str | None, path: Path) -> ModelSpec | None:
    """The encoder of the network that the user names."""
    if model is None:
        return None
    spec = catalog.get(model)
    if isinstance(spec, SegmenterSpec):
        return spec.backbone
    if not isinstance(spec, ModelSpec):
        raise CheckpointError(
            f"{path} gives each pixel a class, and {spec.name} is a detector",
            mend="leave --model out: the tensors say which network it is",
        )
    return spec


def _refuse_other(model: str, found: SegmenterSpec, path: Path) -> None:
    named = catalog.get(model)
    if isinstance(named, SegmenterSpec) and named != found:
        raise CheckpointError(
            f"{path} is a {found.name}, and no {named.name}",
            mend=f"pass --model {found.name}, or leave it out",
        )


def _with_background(fitted: Fitted) -> tuple[Fitted, list[str]]:
    """One logit, of which a pixel has a class where it is positive, as two: 0 of the background, and it.

    The sigmoid of x is the softmax of (0, x), and what follows the classifier is linear.
    """
    at = f"{DECODER}{decoders.decoder(fitted.spec.decoder).CLASSES_AT}"
    if fitted.tensors[at].shape[0] != 1:
        return fitted, []
    last = at.removesuffix("weight")
    if fitted.spec.decoder == "lraspp":
        raise CheckpointError(
            "an LR-ASPP of one class decides nothing", mend="train it with a class for the background"
        )
    own = {part: fitted.tensors[f"{last}{part}"] for part in ("weight", "bias")}
    widened = {f"{last}{part}": torch.cat([torch.zeros_like(x), x]) for part, x in own.items()}
    return replace(fitted, tensors={**fitted.tensors, **widened}), [
        "one logit, written as two classes: background, whose logit is 0, and the other"
    ]


def _notes(fitted: Fitted, accounted: Accounted, file: WeightsFile) -> list[str]:
    """What was left out of it."""
    notes = []
    if fitted.unused:
        names = [name.removeprefix(BACKBONE) for name in fitted.unused]
        notes.append(headless.unused(names))
    start = f"{accounted.prefix}classification_head."
    if any(key.startswith(start) for key in file.tensors):
        notes.append("left out: its classification head, which gives no mask")
    return notes


def _contradictions(file: WeightsFile, spec: SegmenterSpec, classes: int) -> list[str]:
    """Warnings of what a file says of itself and its tensors do not."""
    found = [
        f"the file says {name} is {count}, and its masks have {classes} classes"
        for name, count in file.counts.items()
        if count != classes and not (count == 1 and classes == 2)
    ]
    other = _backbone(file.said) if file.said else None
    if other is not None and other != spec.backbone:
        found.append(f"the file says {file.said}, and its tensors are those of {spec.name}")
    return found

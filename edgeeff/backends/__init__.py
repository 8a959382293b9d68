"""One folder for each runtime, found by name.

A runtime's folder holds ``emit.py`` (hub graph to artifact; build wing), ``run.py`` (a session over an
artifact; device wing) and ``check.py`` (what the runtime really made of it; device wing). It may hold
``profile.py`` (a session that tells the time of each layer; device wing), ``usage.py`` (what a product writes
to run the artifact without us; device wing), and, where an artifact cannot run on the machine that builds it,
``examine.py`` (what can be said of it there; build wing). Its ``__init__.py`` holds its facts: ``REQUIRES``,
the modules it needs (any one of those in a tuple will do); ``INSTALL``, the line that brings them;
``NORMALISES_INPUT``, ``INPUTS``, ``PRECISIONS``, ``ARTIFACT`` and ``RUN``; without a ``profile.py`` also
``NO_PROFILE``, the reason; ``ONE_NORMALISATION`` where readers of the artifact know no mean and std per
channel. No table lists the runtimes: a new folder is a new runtime.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from edgeeff.errors import MissingRuntimeError, UnknownTargetError
from edgeeff.preprocess import Pixels, Preprocess
from edgeeff.target import Target
from edgeeff.tasks import CLASSIFICATION, THRESHOLD, Meaning

if TYPE_CHECKING:
    import onnx

Logits = npt.NDArray[np.float32]
#: Layers named in one warning.
_NAMED = 3
Room = Literal["emit", "run", "check", "examine", "profile", "usage"]
#: What an executed layer is to a network of this family. A Swish that is fused into a convolution is told
#: with it; ``conversion`` is what changes layouts, types and ranges alone.
Kind = Literal[
    "convolution",
    "convolution with Swish",
    "depthwise",
    "depthwise with Swish",
    "Swish as arithmetic",
    "Swish",
    "squeeze-and-excite",
    "residual addition",
    "pooling",
    "classifier",
    "conversion",
    "other",
]


@dataclass(frozen=True)
class Emission:
    """What an ``emit`` is given besides the graph: everything the artifact's metadata is written from.

    ``softmax`` says that the artifact ends in probabilities, which ``meaning`` makes of the logits;
    ``ends_in_probabilities`` that the graph does so already, as one that somebody else quantised may.
    ``float_graph`` makes the float graph with the same input, for an artifact that carries its own control;
    None where there is none, as for a graph that somebody else quantised.
    """

    name: str
    target: Target
    preprocess: Preprocess
    labels: Sequence[str]
    softmax: bool = False
    float_graph: Callable[[], onnx.ModelProto] | None = None
    task: str = CLASSIFICATION
    threshold: float = THRESHOLD
    ends_in_probabilities: bool = False

    @property
    def added(self) -> str | None:
        """The operator that ``emit`` has to put at the end, ``Softmax`` or ``Sigmoid``; None: nothing."""
        return self.meaning.activation if self.softmax and not self.ends_in_probabilities else None

    @property
    def meaning(self) -> Meaning:
        """What the artifact's outputs mean."""
        return Meaning(self.task, self.threshold, self.softmax)


class Session(Protocol):
    """A loaded artifact."""

    def infer(self, pixels: Pixels) -> Logits:
        """Raw pixels uint8 [N, H, W, 3], whatever input type the artifact has, to float32 [N, classes]."""

    def prepare(self, pixels: Pixels) -> Any:
        """The native input of one image uint8 [1, H, W, 3]."""

    def execute(self, prepared: Any) -> Any:
        """The inference alone, for benchmarks."""


@dataclass(frozen=True)
class Layer:
    """One executed layer: its name, operator, the precision it ran in, and the kernel that ran it."""

    name: str
    operator: str
    precision: str
    kernel: str


@dataclass(frozen=True)
class LayerTime:
    """How long one executed layer took.

    Args:
        name: As in the hub graph, or in the graph that somebody else's artifact was made from.
        kind: What it is to the network.
        operator: The runtime's own name of it.
        precision: What it computes in, such as ``int8`` or ``bf16``.
        kernel: What ran it, without the precision.
        microseconds: For one inference.
        multiply_adds: Of its convolution or matrix product, for one inference; else 0.
        fused: The names in that graph of all that it computes.
    """

    name: str
    kind: Kind
    operator: str
    precision: str
    kernel: str
    microseconds: float
    multiply_adds: int
    fused: tuple[str, ...] = ()


class ProfiledSession(Session, Protocol):
    """A loaded artifact whose layers are timed."""

    def layers(self) -> Sequence[LayerTime]:
        """The mean time of each layer in the inferences since the last call, in the order of execution."""


@dataclass(frozen=True)
class CheckReport:
    """What a runtime made of an artifact.

    Args:
        status: ``ok``, ``fallback`` (some layer meant for INT8 runs in something else) or ``NOT RUN``.
        summary: One line for a person.
        counts: Figures a test can hold on to, such as INT8 kernels or delegated operators.
        fallbacks: The layers that were meant to run in INT8 and do not.
        deviations: A sentence for each other way in which the runtime does not do what the plan relies on.
        layers: All layers, where the runtime tells them.
        ladder: For what cannot be run here, each rung of honest claims: what was found, or NOT RUN.
        files: What is to be kept in ``measured/``, such as a compiled engine.
    """

    status: Literal["ok", "fallback", "NOT RUN"]
    summary: str
    counts: Mapping[str, int] = field(default_factory=dict)
    fallbacks: Sequence[str] = ()
    deviations: Sequence[str] = ()
    layers: Sequence[Layer] = ()
    ladder: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user must not miss, a sentence each."""
        return (*_fell_back(self.fallbacks), *(f"here {sentence}" for sentence in self.deviations))


def _fell_back(layers: Sequence[str]) -> list[str]:
    """One sentence, however many layers; all their names are in ``measured/verification.json``."""
    if len(layers) <= _NAMED:
        return [f"{', '.join(layers)} fell back from INT8"] if layers else []
    return [f"{len(layers)} layers fell back from INT8: {', '.join(layers[:_NAMED])}, …"]


@dataclass(frozen=True)
class Evidence:
    """What an ``examine`` holds an artifact against.

    Args:
        images: Raw pixels, uint8 [N, H, W, 3].
        float_outputs: The float graph's outputs of them (logits, or probabilities), [N, classes].
        hub_outputs: The hub graph's, computed as it is written; None for a float target.
        largest: Makes the largest |value| that each tensor of the float graph reached in calibration.
    """

    images: Pixels
    float_outputs: Logits
    hub_outputs: Logits | None
    largest: Callable[[], Mapping[str, float]]


@dataclass(frozen=True)
class Examination:
    """What an ``examine`` found.

    Args:
        report: For ``measured/verification.json``.
        ladder: Of :class:`CheckReport`'s ladder the rungs that need more than the runtime.
        lines: For the screen.
        warnings: What the user must not miss.
    """

    report: Mapping[str, Any]
    ladder: Mapping[str, str] = field(default_factory=dict)
    lines: Sequence[str] = ()
    warnings: Sequence[str] = ()


def runtime_names() -> list[str]:
    """The folders of this package, sorted."""
    return sorted(m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]) if m.ispkg)


def unknown_property(name: str, properties: Mapping[str, str]) -> str | None:
    """What is wrong with properties for a runtime that says which it has, in its ``PROPERTIES``; else None.

    A property's values are a tuple of them, or a pattern.
    """
    package = runtime(name)
    known: Mapping[str, Any] = getattr(package, "PROPERTIES", {})
    for key, value in properties.items():
        values = known.get(key, ())
        if not (value in values if isinstance(values, tuple) else values.fullmatch(value)):
            return f"{name} has no runtime property {key} = {value!r:.80}"
    return None


def runtime(name: str) -> ModuleType:
    """The runtime's package (its REQUIRES and INSTALL), without importing the runtime itself.

    Raises:
        UnknownTargetError: There is no such runtime.
    """
    if name not in runtime_names():
        raise UnknownTargetError(
            f"no runtime named {name!r}", mend=f"the runtimes are {', '.join(runtime_names())}"
        )
    return import_module(f"edgeeff.backends.{name}")


def missing(name: str) -> list[str]:
    """The modules that the runtime needs and this machine has not."""
    absent = []
    for need in runtime(name).REQUIRES:
        choices = (need,) if isinstance(need, str) else need
        if all(find_spec(module) is None for module in choices):
            absent.append(" or ".join(choices))
    return absent


def input_preprocess(target: Target, preprocess: Preprocess) -> Preprocess:
    """How the artifact's float input is made of a photo: the network's preprocessing, or plain pixels.

    Pixels of 0…255 as they are, where channels differ in mean or std and the artifact's readers know one for
    all: there the runtime's ``emit`` puts the normalisation into the artifact. Integer inputs hold pixels
    anyway, and what the network was trained with is said of them.
    """
    one = getattr(runtime(target.runtime), "ONE_NORMALISATION", False)
    inside = one and target.input == "float32" and preprocess.per_channel
    return preprocess.unnormalised() if inside else preprocess


def offers(name: str, part: Room) -> bool:
    """Whether the runtime's folder has such a room."""
    return find_spec(f"{runtime(name).__name__}.{part}") is not None


def usage(name: str) -> ModuleType | None:
    """The runtime's ``usage`` module, which imports no runtime; None where there is none."""
    return import_module(f"edgeeff.backends.{name}.usage") if offers(name, "usage") else None


def require(name: str, part: Room) -> None:
    """Refuse a room that is not there or whose runtime is not installed, without importing either.

    Raises:
        UnknownTargetError: There is no such runtime, or it has no such room.
        MissingRuntimeError: A module that the runtime needs is not installed.
    """
    package = runtime(name)
    if not offers(name, part):
        raise UnknownTargetError(
            f"the {name} runtime has no {part}: no target can name it",
            mend=f"the runtimes are {', '.join(runtime_names())}",
        )
    absent = missing(name)
    if absent:
        raise MissingRuntimeError(
            f"the {name} runtime needs {', '.join(absent)}: not installed",
            mend=f"install it: {package.INSTALL}",
        )


def room(name: str, part: Room) -> Any:
    """The runtime's ``emit``, ``run``, ``check``, ``examine`` or ``profile`` module.

    Raises:
        UnknownTargetError: There is no such runtime, or it has no such room.
        MissingRuntimeError: A module that the runtime needs is not installed.
    """
    require(name, part)
    try:
        return import_module(f"edgeeff.backends.{name}.{part}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("edgeeff"):
            raise
        raise MissingRuntimeError(
            f"to {part} for {name} needs {error.name}, which is not installed",
            mend=f"install it: {runtime(name).INSTALL}",
        ) from None

"""What runtimes and the rest say to each other, and where a runtime is found by its name.

A runtime is a package: a folder of ours, or what the entry points ``edgeeff.runtimes`` of another
distribution name. Its ``__init__.py`` holds its facts in one record, ``RUNTIME = Runtime(…)``, and imports
nothing heavy. Beside it stand its parts: ``emit.py`` (hub graph to artifact; build wing), ``run.py`` (a
session over an artifact; device wing) and ``check.py`` (what the runtime really made of it; device wing). It
may hold ``profile.py`` (a session that tells the time of each layer; device wing), ``usage.py`` (what a
product writes to run the artifact without us; device wing), ``serve.py`` (what Triton Inference Server needs
to serve it; device wing, imports no runtime), and, where an artifact cannot run on the machine
that builds it, ``examine.py`` (what can be said of it there; build wing). No table lists the runtimes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from edgeeff.backends.runtime import Part as Part
from edgeeff.backends.runtime import Runtime as Runtime
from edgeeff.backends.runtime import problem
from edgeeff.batch import ONE, Batch
from edgeeff.detection import RUNTIME, Detection
from edgeeff.errors import OptionError, UnknownTargetError, as_told
from edgeeff.onboard import outputs as onboard_outputs
from edgeeff.plugins import Finder
from edgeeff.preprocess import Pixels, Preprocess
from edgeeff.target import Target
from edgeeff.tasks import CLASSIFICATION, DETECTIONS, THRESHOLD, Meaning, Output, Outputs

if TYPE_CHECKING:
    import onnx

Logits = npt.NDArray[np.float32]
#: Layers named in one warning.
_NAMED = 3
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
    ``outputs`` are the graph's.
    ``float_graph`` makes the float graph with the same input, for an artifact that carries its own control;
    None where there is none, as for a graph that somebody else quantised. ``batch`` says how many images the
    artifact takes in one run; the graphs say so already. ``detection`` holds a detector's anchors and says
    whether the artifact is to make boxes itself. ``variants`` make other hub graphs of the network, by their
    slugs, for an artifact whose device chooses among them.
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
    batch: Batch = ONE
    outputs: tuple[Output, ...] = ()
    detection: Detection | None = None
    variants: Mapping[str, Callable[[], onnx.ModelProto]] = field(default_factory=dict)

    @property
    def added(self) -> str | None:
        """The operator that ``emit`` has to put at the end, ``Softmax`` or ``Sigmoid``; None: nothing."""
        return self.meaning.activation if self.softmax and not self.ends_in_probabilities else None

    @property
    def meaning(self) -> Meaning:
        """What the artifact's outputs mean."""
        return Meaning(self.task, self.threshold, self.softmax, self.detection)


def output_places(held: Sequence[Collection[str]], wanted: Sequence[str], artifact: Path) -> dict[str, int]:
    """Where an artifact has each of a bundle's outputs, by their names and never by their order.

    Args:
        held: The names of each output of the artifact.
        wanted: The manifest's outputs; none of a bundle of schema 1, which has one output.
        artifact: The file, for the message.

    Raises:
        BundleError: One is not there, or the artifact has several and the manifest names none.
    """
    with as_told():
        return onboard_outputs.places(held, wanted, artifact)


class Session(Protocol):
    """A loaded artifact."""

    def infer(self, pixels: Pixels) -> Outputs:
        """Raw pixels uint8 [N, H, W, C], whatever input type the artifact has, to its outputs.

        Each is float32 [N, …] in a layout of channels first, by its name in the artifact. Boxes that the
        runtime makes are ``detections`` [N, max_boxes, 6] (:mod:`edgeeff.detection.facts`).
        """

    def prepare(self, pixels: Pixels) -> Any:
        """The native input of a run's images, uint8 [n, H, W, C], n as the artifact's batch has it."""

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
        float_outputs: The float graph's outputs of them, as the artifact has them (logits, or probabilities).
        hub_outputs: The hub graph's, computed as it is written; None for a float target.
        largest: Makes the largest |value| that each tensor of the float graph reached in calibration.
    """

    images: Pixels
    float_outputs: Outputs
    hub_outputs: Outputs | None
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


_CHECKED: dict[str, Runtime] = {}


def _record(found: Any, name: str) -> Runtime:
    """The record of a runtime's package, or what an entry point names."""
    record: Any = found if isinstance(found, Runtime) else getattr(found, "RUNTIME", None)
    if _CHECKED.get(name) is not record or record is None:
        if wrong := problem(record, name):
            raise ValueError(wrong)
        _CHECKED[name] = record
    return _CHECKED[name]


#: Where runtimes are found.
RUNTIMES = Finder("runtimes", __name__, _record, folders=True)


def runtime_names() -> list[str]:
    """The runtimes that can be used, sorted: the folders of this package, and those of plug-ins."""
    return RUNTIMES.usable()


def runtime(name: str) -> Runtime:
    """The facts of a runtime, without importing the runtime itself.

    Raises:
        UnknownTargetError: There is no such runtime.
        PluginError: It is a plug-in's, and cannot be used.
    """
    try:
        return RUNTIMES.get(name)
    except KeyError:
        raise UnknownTargetError(
            f"no runtime named {name!r}", mend=f"the runtimes are {', '.join(runtime_names())}"
        ) from None


def refuse_batch(targets: Sequence[Target], batch: Batch) -> None:
    """Refuse a batch that the runtime of a target does not take, before any work.

    Raises:
        OptionError: There is such a target; the message names the runtimes that take it.
    """
    others = sorted(
        {target.runtime for target in targets if batch.kind not in runtime(target.runtime).batches}
    )
    if not others:
        return
    able = [name for name in runtime_names() if runtime(name).offers("emit")]
    taking = ", ".join(name for name in able if batch.kind in runtime(name).batches) or "none"
    raise OptionError(
        f"--batch {batch.to_json()}: {', '.join(others)} takes no such batch",
        mend=f"build those targets with --batch 1; the runtimes that take it are {taking}",
    )


def input_preprocess(target: Target, preprocess: Preprocess) -> Preprocess:
    """How the artifact's float input is made of a photo: the network's preprocessing, or plain pixels.

    Pixels of 0…255 as they are, where channels differ in mean or std and the artifact's readers know one for
    all: there the runtime's ``emit`` puts the normalisation into the artifact. Integer inputs hold pixels
    anyway, and what the network was trained with is said of them.
    """
    one = runtime(target.runtime).one_normalisation
    inside = one and target.input == "float32" and preprocess.per_channel
    return preprocess.unnormalised() if inside else preprocess


def artifact_outputs(emission: Emission) -> tuple[Output, ...]:
    """The artifact's outputs, by the names that it has for them: the graph's own.

    Where ``emit`` makes probabilities of logits, a runtime may call them otherwise. Boxes that the runtime
    makes are one output, whatever the artifact itself has (see ``Session``).
    """
    detection = emission.detection
    if detection is not None and detection.where == RUNTIME:
        ((name, shape),) = detection.outputs(len(emission.labels)).items()
        return (Output(name, shape, DETECTIONS),)
    renamed = runtime(emission.target.runtime).probabilities if emission.added else ""
    return tuple(replace(output, name=renamed or output.name) for output in emission.outputs)

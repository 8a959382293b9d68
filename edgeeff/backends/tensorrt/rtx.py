"""What NVIDIA's own parser and compiler make of a graph, on a machine without a GPU.

The TensorRT-RTX wheel compiles ahead of time for a named compute capability. It is not TensorRT: its plans
say that a graph is well-formed and compiles as strongly typed INT8, and nothing of speed, fusion or Jetson.
An engine cannot be deserialised without a GPU, so the plan is read from the builder's log.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeeff.backends import Layer
from edgeeff.backends.tensorrt.device.onboard import profiles
from edgeeff.backends.tensorrt.device.onboard.sealed import RefusedError
from edgeeff.errors import BundleError, OptionError, VerificationError

#: Ampere, as Orin's 8.7 is, which this compiler does not take itself.
AMPERE = "86"
#: What a target says of the capabilities to compile for, such as ``80, 86``.
PROPERTY = "compute_capabilities"

#: The compiler's list of GPUs is of the whole process: bundles are finished side by side, and one that is
#: compiled for another GPU meanwhile fails ("Target SM 86 is not found in the accelerator list").
_ONE_AT_A_TIME = threading.Lock()

_KERNEL = re.compile(r"Name: (.*), LayerType: (\w+), Inputs: \[(.*)")

_GENERATED = "kgen"  # the compiler's name for an elementwise kernel of its own


@dataclass(frozen=True)
class Plan:
    """A compiled graph: the layers that were meant to run in INT8, and the kernels there are.

    Args:
        intended: The convolutions and matrix products that read dequantised activations.
        kernels: In the order of their execution; ``precision`` is the type of the first input.
        sources: The ONNX nodes that each kernel computes, or a part of them.
        engine: The compiled engine; its bytes differ between two builds, the kernels do not.
        described: The builder's own line on each kernel, with the tensors that it reads and writes.
    """

    intended: Sequence[str]
    kernels: Sequence[Layer]
    sources: Sequence[frozenset[str]]
    engine: bytes = b""
    described: Sequence[str] = ()

    def fallbacks(self) -> list[str]:
        """The intended layers that no INT8 kernel computes."""
        return [name for name in self.intended if not self._is_int8(name)]

    def _is_int8(self, name: str) -> bool:
        kernels = [k for k, sources in zip(self.kernels, self.sources, strict=True) if name in sources]
        # Its bias may lie in a generated kernel: such kernels count only where there is no other.
        products = [k for k in kernels if k.operator != _GENERATED] or kernels
        return any(k.precision == "Int8" for k in products)

    def to_json(self) -> dict[str, Any]:
        """The plan without its engine, as plain data."""
        return {
            "intended_int8": list(self.intended),
            "layers": [
                {**vars(kernel), "onnx_nodes": sorted(sources)}
                for kernel, sources in zip(self.kernels, self.sources, strict=True)
            ],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Plan:
        """The reverse of :meth:`to_json`.

        Raises:
            KeyError, TypeError: It is not what :meth:`to_json` writes.
        """
        layers = [dict(layer) for layer in data["layers"]]
        sources = [frozenset(map(str, layer.pop("onnx_nodes"))) for layer in layers]
        return cls([str(n) for n in data["intended_int8"]], [Layer(**layer) for layer in layers], sources)


def available() -> bool:
    """Whether the wheel is installed, whole."""
    try:
        import tensorrt_rtx  # noqa: F401
    except (ImportError, OSError):
        return False
    return True


def version() -> str:
    """The wheel's version."""
    import tensorrt_rtx

    return str(tensorrt_rtx.__version__)


def capabilities(properties: Mapping[str, str], default: str = AMPERE) -> list[str]:
    """The compute capabilities that a target asks for, such as ``["80", "86"]``.

    Raises:
        OptionError: The text is no list of numbers, or the installed compiler does not take one of them.
    """
    import tensorrt_rtx as trt

    asked = re.findall(r"[^\s,]+", properties.get(PROPERTY, default))
    known = sorted((n[2:] for n in dir(trt.ComputeCapability) if re.fullmatch(r"SM\d+", n)), key=int)
    if not asked or not set(asked) <= set(known):
        raise OptionError(
            f"{PROPERTY} = {properties.get(PROPERTY, default)!r}: TensorRT-RTX {version()} compiles for "
            f"{', '.join(known)}",
            mend="name some of these in the target's file, such as 80, 86",
        )
    return sorted(set(asked), key=int)


def accept(path: Path) -> None:
    """Have the parser read a graph and say whether it supports every node.

    Raises:
        VerificationError: It does not; the message names its reason.
    """
    import tensorrt_rtx as trt

    builder, log = _builder(trt)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, log)
    if not parser.supports_model_v2(path.read_bytes(), str(path)):
        raise _refused(parser, path)
    _parse(trt, builder, log, path)


def compile_graph(path: Path, capability: str = AMPERE) -> Plan:
    """Compile a strongly typed graph for a compute capability such as ``86``, a few seconds.

    One that takes several numbers of images in a run is compiled for those of the bundle's ``profile.json``.

    Raises:
        BundleError: That file is damaged.
        VerificationError: The parser or the compiler does not take it.
    """
    with _ONE_AT_A_TIME:
        return _compiled(path, capability)


def _compiled(path: Path, capability: str) -> Plan:
    import tensorrt_rtx as trt

    builder, log = _builder(trt)
    network, _parser = _parse(trt, builder, log, path)
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.num_compute_capabilities = 1
    config.set_compute_capability(getattr(trt.ComputeCapability, f"SM{capability}"), 0)
    if profile := profile_of(path):
        profiles.give(profile, builder, network, config)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        reasons = [message for severity, message in log.messages if severity == trt.ILogger.Severity.ERROR]
        raise VerificationError(
            f"{path.name}: TensorRT-RTX cannot compile it for SM{capability}: {'; '.join(reasons[:2])}",
            mend="report the graph: it meets every known rule",
        )
    lines = [line for _, message in log.messages for line in message.splitlines() if _KERNEL.match(line)]
    read = list(kernels(iter(lines)))
    return Plan(
        _intended(trt, network),
        [kernel for kernel, _ in read],
        [sources for _, sources in read],
        bytes(engine),
        lines,
    )


def profile_of(path: Path) -> profiles.Profile | None:
    """For which numbers of images a bundle's graph is to be compiled; None of a fixed number.

    Raises:
        BundleError: The bundle's ``profile.json`` cannot be read.
    """
    if not (path.parent / profiles.FILE).is_file():
        return None
    try:
        return profiles.read(path.parent, {profiles.FILE: ""})
    except RefusedError as refusal:
        raise BundleError(f"{path.parent}: {refusal}", mend="build the bundle again") from None


def _builder(trt: Any) -> tuple[Any, Any]:
    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.messages: list[tuple[Any, str]] = []

        def log(self, severity: Any, message: str) -> None:
            self.messages.append((severity, message))

    log = Log()
    return trt.Builder(log), log


def _parse(trt: Any, builder: Any, log: Any, path: Path) -> tuple[Any, Any]:
    """The network and its parser, which owns the network's weights and has to live as long."""
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, log)
    if not parser.parse(path.read_bytes(), str(path)):
        raise _refused(parser, path)
    return network, parser


def _refused(parser: Any, path: Path) -> VerificationError:
    errors = [parser.get_error(i) for i in range(parser.num_errors)]
    reasons = [f"node {e.node_name()!r} ({e.node_operator()}): {e.desc()}" for e in errors]
    return VerificationError(
        f"{path.name}: NVIDIA's parser (TensorRT-RTX {version()}) refuses it: {'; '.join(reasons[:2])}",
        mend="report the graph: it meets every known rule",
    )


def _intended(trt: Any, network: Any) -> list[str]:
    """The convolutions and matrix products that read dequantised activations."""
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    producer = {layer.get_output(k).name: layer for layer in layers for k in range(layer.num_outputs)}
    intended = []
    for layer in layers:
        if layer.type in (trt.LayerType.CONVOLUTION, trt.LayerType.MATRIX_MULTIPLY):
            source = producer.get(layer.get_input(0).name)
            while source is not None and source.type == trt.LayerType.SHUFFLE:
                source = producer.get(source.get_input(0).name)
            if source is not None and source.type == trt.LayerType.DEQUANTIZE:
                intended.append(layer.name)
    return intended


def kernels(messages: Iterator[str]) -> Iterator[tuple[Layer, frozenset[str]]]:
    """The kernels that a builder's DETAILED log lists, each with the ONNX nodes it is made of."""
    for line in (line for message in messages for line in message.splitlines()):
        match = _KERNEL.match(line)
        if match:
            name, operator, rest = match.groups()
            inputs = re.split(r", (?:Constants|Outputs): \[", rest, maxsplit=1)[0]
            types = re.findall(r"Datatype: (\w+)", inputs)
            tactic = re.search(r"TacticName: ([^,]*),", rest)
            kernel = Layer(name, operator, types[0] if types else "", tactic[1] if tactic else "")
            yield kernel, frozenset(re.findall(r"\[ONNX Layer: ([^\]]*)\]", rest))

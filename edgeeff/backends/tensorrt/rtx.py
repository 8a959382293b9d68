"""What NVIDIA's own parser and compiler make of a graph, on a machine without a GPU.

The TensorRT-RTX wheel compiles ahead of time for a named compute capability. It is not TensorRT: its plans
say that a graph is well-formed and compiles as strongly typed INT8, and nothing of speed, fusion or Jetson.
An engine cannot be deserialised without a GPU, so the plan is read from the builder's log.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeeff.backends import Layer
from edgeeff.errors import VerificationError

#: Ampere, as Orin's 8.7 is, which this compiler does not take itself.
COMPUTE_CAPABILITY = "SM86"

_GENERATED = "kgen"  # the compiler's name for an elementwise kernel of its own


@dataclass(frozen=True)
class Plan:
    """A compiled graph: the layers that were meant to run in INT8, and the kernels there are."""

    intended: Sequence[str]
    kernels: Sequence[Layer]
    sources: Sequence[frozenset[str]]
    """The ONNX nodes that each kernel computes, or a part of them."""

    def fallbacks(self) -> list[str]:
        """The intended layers that no INT8 kernel computes."""
        return [name for name in self.intended if not self._is_int8(name)]

    def _is_int8(self, name: str) -> bool:
        kernels = [k for k, sources in zip(self.kernels, self.sources, strict=True) if name in sources]
        # Its bias may lie in a generated kernel: such kernels count only where there is no other.
        products = [k for k in kernels if k.operator != _GENERATED] or kernels
        return any(k.precision == "Int8" for k in products)


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


def accept(path: Path) -> None:
    """Have the parser read a graph and say whether it supports every node.

    Raises:
        VerificationError: It does not; the message names its reason.
    """
    import tensorrt_rtx as trt

    builder, log = _builder(trt)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, log)
    if not parser.supports_model_v2(path.read_bytes()):
        raise _refused(parser, path)
    _parse(trt, builder, log, path)


def compile_graph(path: Path) -> Plan:
    """Compile a strongly typed graph for :data:`COMPUTE_CAPABILITY`, a few seconds.

    Raises:
        VerificationError: The parser or the compiler does not take it.
    """
    import tensorrt_rtx as trt

    builder, log = _builder(trt)
    network, _parser = _parse(trt, builder, log, path)
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.num_compute_capabilities = 1
    config.set_compute_capability(getattr(trt.ComputeCapability, COMPUTE_CAPABILITY), 0)
    if builder.build_serialized_network(network, config) is None:
        reasons = [message for severity, message in log.messages if severity == trt.ILogger.Severity.ERROR]
        raise VerificationError(
            f"{path.name}: TensorRT-RTX cannot compile it for {COMPUTE_CAPABILITY}: {'; '.join(reasons[:2])}",
            mend="report the graph: it meets every known rule",
        )
    read = list(kernels(message for _, message in log.messages))
    return Plan(_intended(trt, network), [kernel for kernel, _ in read], [sources for _, sources in read])


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
    if not parser.parse(path.read_bytes()):
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
        match = re.match(r"Name: (.*), LayerType: (\w+), Inputs: \[(.*)", line)
        if match:
            name, operator, rest = match.groups()
            inputs = re.split(r", (?:Constants|Outputs): \[", rest, maxsplit=1)[0]
            types = re.findall(r"Datatype: (\w+)", inputs)
            tactic = re.search(r"TacticName: ([^,]*),", rest)
            kernel = Layer(name, operator, types[0] if types else "", tactic[1] if tactic else "")
            yield kernel, frozenset(re.findall(r"\[ONNX Layer: ([^\]]*)\]", rest))

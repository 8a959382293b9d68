"""What a Q/DQ graph must hold for TensorRT 8.5 to 11 to build it, and to build it in INT8.

Each rule was probed on NVIDIA's parser or read in its source, onnx-tensorrt. A finding of severity
``error`` is a graph that some TensorRT in that range refuses, or accepts and understands differently from
onnxruntime; a ``warning`` is a graph that builds and is slower or coarser than it could be. The rules are
all there is to hold a graph against for 8.5, 8.6 and 10.3, which run on no machine without their GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

#: The operators of the hub: all parsers from 8.5 to 11 know them, and opsets 17 and 19 define them alike.
OPERATORS = frozenset(
    (
        *("Add", "Cast", "Clip", "Conv", "DequantizeLinear", "Flatten", "Gemm", "GlobalAveragePool", "Mul"),
        *("QuantizeLinear", "Relu", "Reshape", "Sigmoid", "Softmax", "Sub"),
    )
)

_QDQ = ("QuantizeLinear", "DequantizeLinear")
_FP16_SMALLEST = 2.0**-24
_FP16_LARGEST = 65504.0


@dataclass(frozen=True)
class Finding:
    """One breach of one rule: the rule's name, how grave, the node it is about, and what is wrong."""

    rule: str
    severity: Literal["error", "warning"]
    node: str
    message: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.node}: {self.message}"


@dataclass(frozen=True)
class View:
    """A graph with what the rules look up in it."""

    model: onnx.ModelProto

    @cached_property
    def constants(self) -> dict[str, npt.NDArray[np.generic]]:
        """Initializers by name."""
        return {c.name: numpy_helper.to_array(c) for c in self.model.graph.initializer}

    @cached_property
    def producer(self) -> dict[str, onnx.NodeProto]:
        """The node that writes each tensor."""
        return {name: node for node in self.model.graph.node for name in node.output}

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of activations, as far as value_info tells; a dimension without a value is 0."""
        graph = self.model.graph
        return {
            v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim)
            for v in (*graph.input, *graph.value_info, *graph.output)
        }

    @cached_property
    def opset(self) -> int:
        """The version of the default domain."""
        return max((o.version for o in self.model.opset_import if o.domain in ("", "ai.onnx")), default=0)

    def nodes(self, *operators: str) -> Iterator[onnx.NodeProto]:
        """The nodes of these operators, in order."""
        return (node for node in self.model.graph.node if node.op_type in operators)

    def dequantiser(self, tensor: str) -> onnx.NodeProto | None:
        """The DequantizeLinear that the tensor comes from, looking through reshapes."""
        node = self.producer.get(tensor)
        while node is not None and node.op_type in ("Flatten", "Reshape"):
            node = self.producer.get(node.input[0])
        return node if node is not None and node.op_type == "DequantizeLinear" else None

    def origin(self, tensor: str) -> str:
        """The tensor with any Q/DQ taken off it."""
        while (node := self.producer.get(tensor)) is not None and node.op_type in _QDQ:
            tensor = node.input[0]
        return tensor


def _error(rule: str, node: str, message: str) -> Finding:
    return Finding(rule, "error", node, message)


def _warning(rule: str, node: str, message: str) -> Finding:
    return Finding(rule, "warning", node, message)


Rule = Callable[[View], Iterator[Finding]]


def findings(model: onnx.ModelProto) -> list[Finding]:
    """Hold a graph (with its shapes inferred) against every rule, errors first.

    Whether it is meant for a weakly typed build (FP32-typed, TensorRT 8.5 to 10) or a strongly typed one
    (10.12 to 11) is told by its scales: FP16 scales mean a strongly typed one.
    """
    view = View(model)
    found = [finding for rule in _RULES for finding in rule(view)]
    return sorted(found, key=lambda f: f.severity)


def _version(view: View) -> Iterator[Finding]:
    half = any(
        view.constants[n.input[1]].dtype == np.float16
        for n in view.nodes(*_QDQ)
        if n.input[1] in view.constants
    )
    if half and view.opset < 19:
        yield _error("opset", "graph", f"FP16 scales need opset 19, this is opset {view.opset}")
    if not half and view.opset > 17:
        yield _error("opset", "graph", f"TensorRT 8.5 reads opset 17 at most, this is {view.opset}")


def _operators(view: View) -> Iterator[Finding]:
    for node in view.model.graph.node:
        if node.domain not in ("", "ai.onnx") or node.op_type not in OPERATORS:
            name = f"{node.domain}.{node.op_type}".lstrip(".")
            yield _error("operator", node.name, f"{name} is not known to every parser from 8.5 to 11")


def _static_shapes(view: View) -> Iterator[Finding]:
    for value in (*view.model.graph.input, *view.model.graph.output):
        if not all(view.shapes[value.name]) or not view.shapes[value.name]:
            yield _error("static-shape", value.name, "has a dimension without a value")


def _zero_points(view: View) -> Iterator[Finding]:
    for node in view.nodes(*_QDQ):
        if len(node.input) < 3 or not node.input[2]:
            yield _error("zero-point-missing", node.name, "8.x needs one, and ONNX reads uint8 without it")
            continue
        zero = view.constants.get(node.input[2])
        if zero is None:
            yield _error("zero-point-constant", node.name, "the zero point is not an initializer")
        elif zero.dtype == np.int32:
            yield _error("int32-dequantised", node.name, "an INT32 bias through DequantizeLinear is refused")
        elif zero.dtype != np.int8:
            yield _error("zero-point-type", node.name, f"{zero.dtype}: TensorRT reads INT8 whatever it says")
        elif np.any(zero):
            yield _error("zero-point-value", node.name, "TensorRT takes symmetric quantisation only")


def _scales(view: View) -> Iterator[Finding]:
    for node in view.nodes(*_QDQ):
        scale = view.constants.get(node.input[1])
        if scale is None:
            yield _error("scale-constant", node.name, "the scale is not an initializer")
            continue
        values = np.atleast_1d(np.asarray(scale, np.float64))
        if not np.all(np.isfinite(values)) or np.any(values <= 0):
            yield _error("scale-value", node.name, "a scale is not a positive number")
        elif values.max() * 127 > _FP16_LARGEST:
            yield _warning("scale-fp16", node.name, f"scale {values.max():.3g} × 127 is beyond FP16")
        else:
            half = np.maximum(values.astype(np.float16), _FP16_SMALLEST).astype(np.float64)
            changed = np.abs(half / values - 1) * 127 > 0.5  # half a step at the end of the range
            if np.any(changed):
                first = f"{values[changed][0]:.3g} becomes {half[changed][0]:.3g}"
                yield _warning("scale-fp16", node.name, f"scales that FP16 changes: {changed.sum()}; {first}")
        zero = view.constants.get(node.input[2]) if len(node.input) > 2 else None
        if zero is not None and zero.size != scale.size:
            yield _error("scale-count", node.name, f"{scale.size} scales and {zero.size} zero points")
        source = view.constants.get(node.input[0])
        if source is None and scale.size != 1:
            yield _error("activation-per-channel", node.name, "an activation has one scale in TensorRT")
        elif source is not None and scale.size not in (1, *source.shape[_axis(node) :][:1]):
            yield _error("scale-count", node.name, f"{scale.size} scales for weights of shape {source.shape}")


def _quantised_pairs(view: View) -> Iterator[Finding]:
    for node in view.nodes("Conv", "Gemm"):
        weight = view.dequantiser(node.input[1])
        activation = view.dequantiser(node.input[0])
        if activation is not None and weight is None:
            yield _error("weights-float", node.name, "a quantised activation meets float weights")
        elif activation is None and weight is not None:
            yield _error("activation-float", node.name, "quantised weights meet a float activation")
        elif weight is None and not _on_vector(view, node):
            yield _warning("float-layer", node.name, "has no quantised input and runs in FP16")
        if weight is not None and view.constants.get(weight.input[0], np.empty(0)).dtype != np.int8:
            yield _error("weights-type", node.name, "quantised weights are not an int8 initializer")
        if len(node.input) > 2 and node.input[2] and node.input[2] not in view.constants:
            yield _error("bias-constant", node.name, "the bias is not a float initializer")


def _narrow_convolutions(view: View) -> Iterator[Finding]:
    for node in view.nodes("Conv"):
        shape = view.shapes.get(node.output[0], ())
        if view.dequantiser(node.input[0]) is not None and len(shape) == 4 and shape[1] < 16 and shape[1] % 8:
            yield _warning("narrow", node.name, f"{shape[1]} channels gain nothing from INT8")


def _whole_swish(view: View) -> Iterator[Finding]:
    for node in view.nodes("Mul"):
        for gate, other in (node.input, reversed(node.input)):
            sigmoid = view.producer.get(view.origin(gate))
            if sigmoid is None or sigmoid.op_type != "Sigmoid":
                continue
            if view.origin(sigmoid.input[0]) != view.origin(other):
                continue  # the gate of a squeeze-excite, which may be quantised
            if view.origin(gate) != gate or sigmoid.input[0] != other:
                yield _error("swish", node.name, "Q/DQ between Sigmoid and Mul breaks the fusion of Swish")


def _residual_additions(view: View) -> Iterator[Finding]:
    for node in view.nodes("Add"):
        if all(view.dequantiser(name) is not None for name in node.input):
            yield _warning("add", node.name, "Q/DQ on both inputs: the skip input alone should have them")


def _float_logits(view: View) -> Iterator[Finding]:
    for value in view.model.graph.output:
        if view.origin(value.name) != value.name:
            yield _warning("logits", value.name, "are quantised, which saves nothing and costs accuracy")


def _scale_types(view: View) -> Iterator[Finding]:
    graph = view.model.graph
    types = {v.name: v.type.tensor_type.elem_type for v in (*graph.input, *graph.value_info, *graph.output)}
    for node in view.nodes("QuantizeLinear"):
        scale = view.constants.get(node.input[1])
        if scale is None or node.input[0] not in types:
            continue
        activation = helper.tensor_dtype_to_np_dtype(types[node.input[0]])
        if scale.dtype != activation:
            yield _error("scale-type", node.name, f"a {activation} activation with a {scale.dtype} scale")


def _axis(node: onnx.NodeProto) -> int:
    return next((a.i for a in node.attribute if a.name == "axis"), 1)


def _on_vector(view: View, node: onnx.NodeProto) -> bool:
    """Whether a convolution reads a pooled [1, C, 1, 1], as those of a squeeze-excite branch do."""
    return view.shapes.get(node.input[0], ())[2:] == (1, 1)


_RULES: tuple[Rule, ...] = (
    _version,
    _operators,
    _static_shapes,
    _zero_points,
    _scales,
    _quantised_pairs,
    _narrow_convolutions,
    _whole_swish,
    _residual_additions,
    _float_logits,
    _scale_types,
)

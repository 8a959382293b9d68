"""Q/DQ graphs in ONNX, as onnxruntime.quantization, NNCF and the TensorRT toolkits write them.

What is quantised is the tensor that a QuantizeLinear reads. The graph is also its own reference: with weights
dequantised and without the pairs it computes what the float graph does, but for the rounding of weights. One
thing has to be put back: onnxruntime leaves out a Relu or Clip whose bounds the codes keep by themselves.

    W₈ ─ DQ ─ Conv          ⇒      Ŵ ─ Conv
    x ─ Q ─ DQ ─ …          ⇒      x ─ …
    Conv ─ Q(0…) ─ DQ       ⇒      Conv ─ Clip(0…) ─ …
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from edgeeff.errors import GraphError
from edgeeff.graph.importing import checks, functions, source, tensors
from edgeeff.graph.model import node_label
from edgeeff.quantization.foreign._ranges import ForeignRanges, Range, affine

_Floats = npt.NDArray[Any]
_Integers = npt.NDArray[Any]

_SUFFIX = ".onnx"
_IR_VERSION = b"\x08"  # the first field of every ONNX file
_DOMAINS = (*checks.DEFAULT_DOMAINS, "com.microsoft")  # onnxruntime's, where 16 bits are used before opset 21
#: Whose output may have had an activation behind it that the codes made needless.
_ACTIVATED = frozenset({"Conv", "Gemm", "MatMul", "Add"})
_OTHER_FORMS = ("DynamicQuantizeLinear", "ConvInteger", "MatMulInteger")
#: Weights that are dequantised at most: twice V2-XL's.
_MOST_WEIGHTS = 1 << 29
_MOST_CHANNELS = 1 << 16
_AGAIN = "the file is damaged: quantise the network again"


def claims(start: bytes, path: Path) -> bool:
    """A file whose name ends in .onnx, or that begins as ONNX files do."""
    return path.suffix.lower() == _SUFFIX or start.startswith(_IR_VERSION)


def read(path: Path) -> ForeignRanges:
    """Read a Q/DQ graph.

    Raises:
        MissingFileError: It cannot be read.
        GraphError: It is damaged, no Q/DQ graph, or a scale or zero point is impossible.
    """
    model = source.load(path)
    try:
        checks.opset(model)
        return _read(model)
    except GraphError as error:
        raise GraphError(f"{path}: {error.what}", mend=error.mend) from None


@dataclass
class _Walk:
    """What is known on the way through the nodes, in their order.

    Args:
        constants: The values of initializers and Constant nodes.
        codes: Tensors of integers that hold a quantised tensor.
        same: For each dequantised tensor, and its codes, the tensor that was quantised.
        spans: Of each quantised tensor its scales, each with its first code and the number of codes.
        types: The type of its values.
        weights: Dequantised constants…
        dequantised: …and how many values they are.
        kept: All other nodes.
    """

    constants: Mapping[str, onnx.TensorProto]
    codes: set[str] = field(default_factory=set)
    same: dict[str, str] = field(default_factory=dict)
    spans: dict[str, set[tuple[float, int, int]]] = field(default_factory=dict)
    types: dict[str, np.dtype[np.generic]] = field(default_factory=dict)
    weights: dict[str, _Floats] = field(default_factory=dict)
    dequantised: int = 0
    kept: list[onnx.NodeProto] = field(default_factory=list)


def _read(model: onnx.ModelProto) -> ForeignRanges:
    model = functions.inlined(model)
    nodes = model.graph.node
    if len(nodes) > checks.MOST_NODES:
        raise GraphError(f"it has {len(nodes)} nodes", mend="this is no EfficientNet")
    found = _Walk(_constants(model))
    for node in nodes:
        if node.op_type.startswith("QLinear") or node.op_type in _OTHER_FORMS:
            raise GraphError(
                f"{node_label(node)} computes on integers",
                mend="quantise to a Q/DQ graph (onnxruntime: quant_format=QuantFormat.QDQ)",
            )
        if node.op_type == "QuantizeLinear" and node.domain in _DOMAINS:
            _quantize(node, found)
        elif node.op_type == "DequantizeLinear" and node.domain in _DOMAINS:
            _dequantize(node, found)
        else:
            found.kept.append(node)
            if found.codes.intersection(node.input):  # Reshape, Transpose or MaxPool of codes
                found.codes.update(node.output)
    if not found.spans:
        raise GraphError(
            "it quantises no tensor: it is a float graph, or one whose weights alone are quantised",
            mend="pass a Q/DQ graph as the plan, and float networks with --checkpoint",
        )
    inputs, outputs = ({value.name for value in ends} for ends in (model.graph.input, model.graph.output))
    ends = {_first(found.same, name): name for name in found.same if name in outputs}
    called = {name: output for name, output in ends.items() if name not in inputs}
    ranges = {called.get(name, name): range for name, range in _ranges(found.spans).items()}
    return ForeignRanges("Q/DQ graph", ranges, _floats(model, found, called, ranges))


def _ranges(spans: Mapping[str, set[tuple[float, int, int]]]) -> dict[str, Range]:
    """The range of each tensor.

    A zero point in the middle of the codes may be there by chance: it tells of symmetry only where all of a
    file's are, or stand at an end.
    """
    symmetric = all(first in (0, -levels // 2) for span in spans.values() for _, first, levels in span)
    found: dict[str, Range] = {}
    for name, span in spans.items():
        for scale, first, levels in sorted(span):
            try:
                range = affine(scale, first, levels, symmetric)
            except ValueError as error:
                raise GraphError(f"{name!r} has {error}", mend=_AGAIN) from None
            found[name] = range.united(found.get(name))
    return found


def _quantize(node: onnx.NodeProto, found: _Walk) -> None:
    name, scale, zero = _parameters(node, found.constants)
    info = np.iinfo(zero.dtype)
    tensor = _first(found.same, name)
    found.same[node.output[0]] = tensor
    found.codes.add(node.output[0])
    if tensor in found.constants or tensor in found.weights:
        return
    if not (scale > 0).all():
        raise GraphError(f"{node_label(node)} has no positive scale", mend=_AGAIN)
    found.types[tensor] = scale.dtype
    levels = int(info.max) - int(info.min) + 1
    found.spans.setdefault(tensor, set()).update(
        (float(one_scale), int(info.min) - int(one_zero), levels)
        for one_scale, one_zero in np.broadcast(scale.ravel(), zero.ravel())
    )


def _dequantize(node: onnx.NodeProto, found: _Walk) -> None:
    name = node.input[0] if node.input else ""
    if name in found.constants:
        weights = _weights(node, found.constants)
        found.dequantised += weights.size
        if found.dequantised > _MOST_WEIGHTS:
            raise GraphError(f"it has more than {_MOST_WEIGHTS} weights", mend="this is no EfficientNet")
        found.weights[node.output[0]] = weights
    elif name in found.codes:
        found.same[node.output[0]] = found.same.get(name, name)
    else:
        raise GraphError(f"{node_label(node)} reads {name!r}, which no QuantizeLinear made", mend=_AGAIN)


def _weights(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> _Floats:
    """The values behind constant codes, in the scale's type."""
    name, scale, zero = _parameters(node, constants)
    codes = tensors.array(constants[name])
    axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
    shape = [1] * codes.ndim
    if scale.size > 1:
        if scale.ndim != 1 or not -codes.ndim <= axis < codes.ndim or codes.shape[axis] != scale.size:
            raise GraphError(
                f"{node_label(node)} has {scale.size} scales on axis {axis} of {list(codes.shape)}",
                mend="quantise weights per tensor or per channel",
            )
        shape[axis] = scale.size
    centred = codes.astype(np.float32) - zero.astype(np.float32).reshape(shape if zero.size > 1 else [])
    with np.errstate(over="ignore"):
        weights = centred.astype(scale.dtype) * scale.reshape(shape if scale.size > 1 else [])
    if not np.isfinite(weights).all():
        raise GraphError(f"{node_label(node)} gives infinite weights", mend=_AGAIN)
    return weights


def _parameters(
    node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]
) -> tuple[str, _Floats, _Integers]:
    """What a Q or DQ node reads: tensor, scale and zero point."""
    label = node_label(node)
    names = [*node.input, ""]
    if len(names) < 3 or len(node.output) != 1:
        raise GraphError(f"{label} lacks its scale", mend=_AGAIN)
    for name in filter(None, names[1:3]):
        if name not in constants:
            raise GraphError(f"{label}: {name!r} is no constant", mend="export it with constant scales")
    scale: _Floats = np.asarray(tensors.array(constants[names[1]]))
    zero: _Integers = np.asarray(tensors.array(constants[names[2]]) if names[2] else np.uint8(0))
    if not np.issubdtype(scale.dtype, np.floating) or not np.isfinite(scale).all():
        raise GraphError(f"{label} has no finite scale", mend=_AGAIN)
    if not 0 < scale.size <= _MOST_CHANNELS:
        raise GraphError(f"{label} has {scale.size} scales", mend=_AGAIN)
    if not np.issubdtype(zero.dtype, np.integer) or zero.size not in (1, scale.size):
        raise GraphError(f"{label} has a zero point of {zero.dtype} {list(zero.shape)}", mend=_AGAIN)
    return names[0], scale.astype(helper.tensor_dtype_to_np_dtype(constants[names[1]].data_type)), zero


def _floats(
    model: onnx.ModelProto, found: _Walk, called: Mapping[str, str], ranges: Mapping[str, Range]
) -> onnx.ModelProto:
    """The float graph; a clamp that is put back has the name of the tensor that was quantised.

    Args:
        model: The Q/DQ graph; left as it is.
        found: What the walk saw.
        called: The output's name of a tensor that is the graph's output once dequantised.
        ranges: By the names of the float graph's tensors.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    del graph.node[:]
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in found.weights.items())
    for node in found.kept:
        made = graph.node.add()
        made.CopyFrom(node)
        sources = [_first(found.same, name) for name in node.input]
        made.input[:] = [called.get(name, name) for name in sources]
        made.output[:] = [called.get(name, name) for name in node.output]
        range = ranges.get(made.output[0]) if node.op_type in _ACTIVATED and node.output else None
        if range is not None and range.low == 0:
            name = made.output[0]
            made.output[0] = f"{name}.unclamped"
            bounds = [f"{name}.low", f"{name}.high"]
            for bound, value in zip(bounds, (range.low, range.high), strict=True):
                kind = found.types[node.output[0]]
                graph.initializer.append(numpy_helper.from_array(np.asarray(value, kind), bound))
            clamp = helper.make_node("Clip", [made.output[0], *bounds], [name], f"{name}.clamp")
            graph.node.append(clamp)
    return result


def _constants(model: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    """The initializers and the Constant nodes of a graph, by name."""
    found = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.output:
            for attribute in node.attribute:
                if attribute.name == "value":
                    found[node.output[0]] = attribute.t
    return found


def _first(same: Mapping[str, str], name: str) -> str:
    """The tensor that was quantised first, of a chain of Q/DQ pairs."""
    seen = {name}
    while name in same and same[name] not in seen:
        name = same[name]
        seen.add(name)
    return name

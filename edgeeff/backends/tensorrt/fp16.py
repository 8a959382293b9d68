"""The same Q/DQ graph with everything that is not quantised typed FP16, for strongly typed networks.

TensorRT 11 (and 10.12 with STRONGLY_TYPED) runs what is not quantised in the type the ONNX file gives it, so
an FP32-typed file would leave Sigmoid, Mul and Add in FP32. The int8 codes stay as they are and each scale
is the same number rounded to FP16: a relative change of at most 2⁻¹¹, which no tensor in 8 bits notices.
"""

from __future__ import annotations

from collections.abc import MutableSequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgeeff.backends.tensorrt.wide_bias import shield
from edgeeff.errors import GraphError

#: The operators of the hub: opsets 17 and 19 define them alike, but for the axes of REDUCING.
OPERATORS = frozenset(
    (
        *(
            "Add",
            "AveragePool",
            "Cast",
            "Clip",
            "Concat",
            "Conv",
            "DequantizeLinear",
            "Div",
            "Flatten",
            "Gemm",
        ),
        *("GlobalAveragePool", "HardSigmoid", "Identity", "LpNormalization", "MaxPool", "Mul", "Pad"),
        *("QuantizeLinear", "ReduceL2", "ReduceMean", "ReduceSum", "Relu", "Reshape", "Resize", "Sigmoid"),
        *("Slice", "Softmax", "Sqrt", "Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze"),
    )
)
#: Opset 18 made their axes an input.
REDUCING = frozenset(("ReduceL2", "ReduceMean"))
#: They sum squares, which FP16 holds up to 65504: a vector of 1280 values of 8 is longer.
WIDE = frozenset(("LpNormalization", "ReduceL2"))

#: FP16 scales are legal from opset 19 on, and IR 9 is what opset 19 came with.
OPSET, IR_VERSION = 19, 9

SMALLEST = np.float32(2.0**-24)
"""The smallest positive FP16 number, below which a scale would become 0 and the parser refuse the file."""


def fp16_from_fp32(model: onnx.ModelProto) -> onnx.ModelProto:
    """Retype an opset 17 Q/DQ graph to FP16 at opset 19, leaving its input and output as they were.

    A float32 input is cast to FP16 first thing, and the output back to float32 last thing. Scales below
    :data:`SMALLEST` become that number: nothing that the int8 codes could express is clipped by it. Where
    onnxruntime's optimiser would break a bias, a node keeps it off (``wide_bias.py``).

    Raises:
        GraphError: An operator whose meaning changes before opset 19, or a constant beyond FP16's 65504.
    """
    half = onnx.ModelProto()
    half.CopyFrom(model)
    graph = half.graph
    for node in graph.node:
        if node.op_type not in OPERATORS:
            raise GraphError(
                f"node {node.name!r}: {node.op_type} is not known to mean the same in opset 17 and 19",
                mend="write the graph with the operators of the hub",
            )
        if node.op_type == "Cast":
            _retype_cast(node)
        if node.op_type in REDUCING:
            _axes_to_input(graph, node)
    scales = {node.input[1] for node in graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")}
    factors = {name for node in graph.node if node.op_type == "Resize" for name in node.input[1:]}
    for constant in graph.initializer:
        if constant.data_type == TensorProto.FLOAT and constant.name not in factors:
            constant.CopyFrom(_halved(constant, floor=constant.name in scales))
    del half.opset_import[:]
    half.opset_import.append(helper.make_opsetid("", OPSET))
    half.ir_version = IR_VERSION
    _cast_edges(graph)
    for node in [node for node in graph.node if node.op_type in WIDE]:
        _cast_around(graph, node)
    shield(graph)
    del graph.value_info[:]
    return onnx.shape_inference.infer_shapes(half, check_type=True, strict_mode=True)


def _halved(constant: onnx.TensorProto, *, floor: bool) -> onnx.TensorProto:
    value = numpy_helper.to_array(constant)
    if floor:
        value = np.maximum(value, SMALLEST)
    if value.size and np.abs(value).max() > np.finfo(np.float16).max:
        raise GraphError(
            f"constant {constant.name!r} reaches {np.abs(value).max():.3g}, beyond FP16's 65504",
            mend="keep this model in FP32, or retrain it with weight decay on its batch normalisations",
        )
    return numpy_helper.from_array(value.astype(np.float16), constant.name)


def _axes_to_input(graph: onnx.GraphProto, node: onnx.NodeProto) -> None:
    for attribute in [a for a in node.attribute if a.name == "axes"]:
        name = f"{node.output[0]}.axes"
        graph.initializer.append(numpy_helper.from_array(np.array(attribute.ints, np.int64), name))
        node.input.append(name)
        node.attribute.remove(attribute)


def _cast_around(graph: onnx.GraphProto, node: onnx.NodeProto) -> None:
    """Let a node compute in float32: its input is cast before it, and its output behind it."""
    source, result = node.input[0], node.output[0]
    wide, made = f"{result}_wide", f"{result}_made"
    place = list(graph.node).index(node)
    node.input[0], node.output[0] = wide, made
    graph.node.insert(place + 1, _cast(made, result, TensorProto.FLOAT16))
    graph.node.insert(place, _cast(source, wide, TensorProto.FLOAT))


def _retype_cast(node: onnx.NodeProto) -> None:
    for attribute in node.attribute:
        if attribute.name == "to" and attribute.i == TensorProto.FLOAT:
            attribute.i = TensorProto.FLOAT16


def _cast_edges(graph: onnx.GraphProto) -> None:
    """Put a Cast behind each float32 input and before each float32 output; those keep their names."""
    for value in graph.input:
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            inside = f"{value.name}_fp16"
            for node in graph.node:
                _rename(node.input, value.name, inside)
            graph.node.insert(0, _cast(value.name, inside, TensorProto.FLOAT16))
    for value in graph.output:
        inside = f"{value.name}_fp16"
        for node in graph.node:
            _rename(node.output, value.name, inside)
            _rename(node.input, value.name, inside)
        graph.node.append(_cast(inside, value.name, TensorProto.FLOAT))


def _cast(source: str, result: str, to: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [result], name=f"{result}/Cast", to=to)


def _rename(names: MutableSequence[str], old: str, new: str) -> None:
    for i, name in enumerate(names):
        if name == old:
            names[i] = new

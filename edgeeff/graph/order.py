"""The order of three colours: a network that takes BGR, made one that takes RGB."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod
from typing import TYPE_CHECKING

import numpy as np
import onnx

from edgeeff.errors import GraphError
from edgeeff.graph.model import add_constant, constant, drop_unused_constants

if TYPE_CHECKING:
    import onnx_ir as ir

_ROUNDING = ("QuantizeLinear", "DequantizeLinear")
_NOT_ONE = "the order of its colours cannot be changed: not one convolution of three channels reads them"
_RGB = "leave out --channels bgr, and export the network so that it takes RGB"


def turn_around(model: ir.Model) -> None:
    """Let a base graph take its three input channels the other way round, in place. Twice is as before.

    The first convolution's weights [O, 3, k, k] are turned around, which is exact: no operator is added, and
    zeros put around the image are the same in every channel.

    Raises:
        GraphError: The input is not read by one convolution alone, or has not three channels.
    """
    readers = list(model.graph.inputs[0].consumers())
    weight = constant(readers[0].inputs[1]) if len(readers) == 1 and readers[0].op_type == "Conv" else None
    if weight is None or weight.shape[1] != 3:
        raise GraphError(_NOT_ONE, mend=_RGB)
    value = readers[0].inputs[1]
    assert value is not None and value.name is not None
    turned = np.ascontiguousarray(weight[:, ::-1])
    readers[0].replace_input_with(1, add_constant(model.graph, f"{value.name}.turned_around", turned))
    drop_unused_constants(model)


def turn_around_quantised(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The same of a Q/DQ graph: a copy whose first convolution's codes are turned around.

    Raises:
        GraphError: As above, or its input or its weights have a scale for each input channel.
    """
    turned = onnx.ModelProto()
    turned.CopyFrom(graph)
    nodes, stored = turned.graph.node, {tensor.name: tensor for tensor in turned.graph.initializer}
    name = next(value.name for value in turned.graph.input if value.name not in stored)
    readers = _readers(nodes, name)
    while len(readers) == 1 and readers[0].op_type in _ROUNDING and _axis_of(readers[0], stored) == 0:
        readers = _readers(nodes, readers[0].output[0])
    found = None
    if len(readers) == 1 and readers[0].op_type == "Conv":
        reader, place = readers[0], 1
        makers = {output: node for node in nodes for output in node.output}
        while (maker := makers.get(reader.input[place])) is not None and maker.op_type in _ROUNDING:
            if _axis_of(maker, stored) != 0:
                break
            reader, place = maker, 0
        found = stored.get(reader.input[place])
    if found is None or len(found.dims) != 4 or found.dims[1] != 3:
        raise GraphError(_NOT_ONE, mend=_RGB)
    array = np.ascontiguousarray(onnx.numpy_helper.to_array(found)[:, ::-1])
    added = onnx.numpy_helper.from_array(array, f"{found.name}.turned_around")
    turned.graph.initializer.append(added)
    reader.input[place] = added.name
    if not _readers(nodes, found.name):
        turned.graph.initializer.remove(found)
    return turned


def _readers(nodes: Iterable[onnx.NodeProto], name: str) -> list[onnx.NodeProto]:
    return [node for node in nodes for read in node.input if read == name]


def _axis_of(node: onnx.NodeProto, stored: Mapping[str, onnx.TensorProto]) -> int:
    """The axis that a node's scales run over; 0 where there is one scale, −1 where they are no constant."""
    scale = stored.get(node.input[1])
    if scale is None:
        return -1
    if prod(scale.dims) == 1:
        return 0
    return next((int(a.i) for a in node.attribute if a.name == "axis"), 1)

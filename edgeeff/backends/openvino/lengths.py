"""LpNormalization written out: OpenVINO adds 1.2e-7 below its root, which falsifies short vectors.

What it makes of a vector of length 1e-3 is 6 % too short, and of one of 1e-5 nearly nothing.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgeeff.graph.lowering import attribute

#: Vectors shorter than this, zeros among them, are divided by this.
_LEAST = 1e-12


def written_out(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with ReduceL2, Clip and Div instead of each LpNormalization; itself where there is none."""
    if not any(node.op_type == "LpNormalization" for node in graph.graph.node):
        return graph
    found = onnx.ModelProto()
    found.CopyFrom(graph)
    nodes = [part for node in graph.graph.node for part in _parts(node, found)]
    del found.graph.node[:]
    found.graph.node.extend(nodes)
    return found


def _parts(node: onnx.NodeProto, graph: onnx.ModelProto) -> list[onnx.NodeProto]:
    if node.op_type != "LpNormalization" or attribute(node, "p", 2) != 2:
        return [node]
    (source,), (result,) = node.input, node.output
    length, bound, least = (f"{result}/{part}" for part in ("length", "bounded", "least"))
    graph.graph.initializer.append(numpy_helper.from_array(np.float32(_LEAST).reshape(()), least))
    axis = attribute(node, "axis", -1)
    return [
        helper.make_node("ReduceL2", [source], [length], name=length, axes=[axis], keepdims=1),
        helper.make_node("Clip", [length, least], [bound], name=bound),
        helper.make_node("Div", [source, bound], [result], name=node.name),
    ]

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
#: From this opset on ReduceL2 has its axes as an input. As an attribute OpenVINO would not see them, and take
#: one length of all images of a run.
_AXES_ARE_AN_INPUT = 18


def written_out(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with ReduceL2, Clip and Div instead of each LpNormalization; itself where there is none."""
    if not any(node.op_type == "LpNormalization" for node in graph.graph.node):
        return graph
    found = onnx.ModelProto()
    found.CopyFrom(graph)
    versions = [entry.version for entry in graph.opset_import if entry.domain in ("", "ai.onnx")]
    as_input = max(versions, default=1) >= _AXES_ARE_AN_INPUT
    nodes = [part for node in graph.graph.node for part in _parts(node, found, as_input)]
    del found.graph.node[:]
    found.graph.node.extend(nodes)
    return found


def _parts(node: onnx.NodeProto, graph: onnx.ModelProto, as_input: bool) -> list[onnx.NodeProto]:
    if node.op_type != "LpNormalization" or attribute(node, "p", 2) != 2:
        return [node]
    (source,), (result,) = node.input, node.output
    length, bound, least = (f"{result}/{part}" for part in ("length", "bounded", "least"))
    graph.graph.initializer.append(numpy_helper.from_array(np.float32(_LEAST).reshape(()), least))
    axes = [attribute(node, "axis", -1)]
    reduce = helper.make_node("ReduceL2", [source], [length], name=length, keepdims=1)
    if as_input:
        reduce.input.append(f"{result}/axes")
        graph.graph.initializer.append(numpy_helper.from_array(np.array(axes, np.int64), reduce.input[1]))
    else:
        reduce.attribute.append(helper.make_attribute("axes", axes))
    return [
        reduce,
        helper.make_node("Clip", [length, least], [bound], name=bound),
        helper.make_node("Div", [source, bound], [result], name=node.name),
    ]

"""Sums of tensors that exporters write as a stack: Unsqueeze of each, Concat, ReduceSum ⇒ Add.

    a ─ Unsqueeze(4) ┐
    b ─ Unsqueeze(4) ┴ Concat(4) ─ ReduceSum(4)      ⇒      a ─ Add ─ b

So effdet's fusion of features comes out of torch.stack(…).sum(-1). Nothing else is changed.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgeeff.graph.importing.lookup import Lookup


def unstacked(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with each such sum as Adds; itself where there is none."""
    graph = Lookup(model)
    found: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        whole = node.op_type == "ReduceSum" and node.input and node.output
        parts = _stacked(graph, node) if whole else None
        if parts:
            found[node.output[0]] = _added(node, parts)
    if not found:
        return model
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:]
    for node in model.graph.node:
        result.graph.node.extend(found.get(node.output[0], [node]) if node.output else [node])
    return result


def _stacked(graph: Lookup, node: onnx.NodeProto) -> list[str] | None:
    """The tensors that a ReduceSum adds, where it sums over an axis that was made to stack them."""
    axes = _axes(graph, node)
    keep = next((a.i for a in node.attribute if a.name == "keepdims"), 1)
    stack = graph.maker(node.input[0])
    if axes is None or len(axes) != 1 or keep or stack is None or stack.op_type != "Concat":
        return None
    axis = next((a.i for a in stack.attribute if a.name == "axis"), 0)
    if axis != axes[0]:
        return None
    parts = []
    for name in stack.input:
        single = graph.maker(name)
        unsqueezed = single is not None and single.op_type == "Unsqueeze" and single.input
        if single is None or not unsqueezed or _axes(graph, single) != [axis]:
            return None
        parts.append(str(single.input[0]))
    return parts if len(parts) > 1 else None


def _axes(graph: Lookup, node: onnx.NodeProto) -> list[int] | None:
    """The axes of Unsqueeze or ReduceSum, an attribute before opset 13 and an input from there on."""
    held = next((list(a.ints) for a in node.attribute if a.name == "axes"), None)
    if held is None and len(node.input) > 1:
        tensor = graph.constant(node.input[1])
        if tensor is not None and tensor.data_type == onnx.TensorProto.INT64:
            try:
                held = np.ravel(numpy_helper.to_array(tensor)).tolist()
            except (ValueError, TypeError):
                return None
    return held


def _added(node: onnx.NodeProto, parts: list[str]) -> list[onnx.NodeProto]:
    made, name = [], parts[0]
    for place, part in enumerate(parts[1:], 1):
        last = place == len(parts) - 1
        output = node.output[0] if last else f"{node.output[0]}.of_{place + 1}"
        made.append(helper.make_node("Add", [name, part], [output], name=f"{node.name}/Add_{place}"))
        name = output
    return made

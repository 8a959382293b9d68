"""Softmax."""

from __future__ import annotations

import onnx

from edgeeff.errors import GraphError
from edgeeff.graph.lowering import Builder, Options, attribute
from edgeeff.graph.operators import (
    Operator,
    Traits,
    _axes,
    _padding,
    _probabilities,
    _rearranging,
    _unary,
    always,
)
from edgeeff.graph.views import View
from edgeeff.graph.writer import Step


def translate(step: Step) -> View:
    """Softmax over the channels; only at the end, where the importer's ``head`` cuts it off."""
    x = _padding.whole(step, 0)
    axis = _axes.counted(step, x, step.attribute("axis", 1 if step.opset < 13 else -1))
    if step.opset < 13:  # all axes from that one on, together
        along = [i for i in range(axis, len(x.shape)) if x.shape[i] > 1]
        axis = along[0] if len(along) == 1 else axis
        if len(along) > 1:
            step.refuse(f"it normalises the axes {along} of {list(x.shape)} together")
    return _unary.written(step, "Softmax", axis=_axes.dimension(step, x, axis))


def lower(node: onnx.NodeProto, builder: Builder) -> None:
    """SOFTMAX over the last dimension."""
    result = builder.result(node, node.input, clamps=False)
    rank = len(result.shape)
    if _rearranging.axis_of(attribute(node, "axis", -1), rank) != rank - 1:
        raise GraphError(
            f"Softmax {node.name!r} is not over the channels", mend="TFLite has it over the last axis alone"
        )
    _probabilities.hold(node, result)
    source = builder.operand(node.input[0], result)
    builder.add("SOFTMAX", [source], builder.produce(result), Options("SoftmaxOptions", {"beta": 1.0}))


OPERATORS = (
    Operator(
        "Softmax",
        translate=translate,
        execute=lambda node, x: x[0].softmax(node.attributes.get_int("axis", -1)),
        traits=Traits(nonnegative=always, fixed=_probabilities.FIXED),
        lower=lower,
    ),
)

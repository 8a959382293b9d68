"""Softmax."""

from __future__ import annotations

import onnx

from edgeeff.errors import GraphError
from edgeeff.graph.lowering import Builder, Options, attribute
from edgeeff.graph.operators import Operator, Traits, _probabilities, _unary, always
from edgeeff.graph.views import CHANNEL, View
from edgeeff.graph.writer import Step


def translate(step: Step) -> View:
    """Softmax over the channels; only at the end, where the importer's ``head`` cuts it off."""
    x = step.unpadded(0)
    axis = step.attribute("axis", 1 if step.opset < 13 else -1)
    if not x.is_vector or not -len(x.shape) <= axis < len(x.shape) or not x.runs_over(axis, CHANNEL):
        step.refuse(f"it normalises the axis {axis} of {list(x.shape)}, not the classes")
    return _unary.written(step, "Softmax", axis=1)


def lower(node: onnx.NodeProto, builder: Builder) -> None:
    """SOFTMAX over the last dimension."""
    result = builder.result(node, node.input, clamps=False)
    if attribute(node, "axis", -1) not in (-1, len(result.shape) - 1) or len(result.shape) != 2:
        raise GraphError(
            f"Softmax {node.name!r} is not over the classes of [N, classes]", mend="move it to the logits"
        )
    _probabilities.hold(node, result)
    source = builder.operand(node.input[0], result)
    builder.add("SOFTMAX", [source], builder.produce(result), Options("SoftmaxOptions", {"beta": 1.0}))


OPERATORS = (
    Operator(
        "Softmax",
        translate=translate,
        execute=lambda node, x: x[0].softmax(node.attributes.get_int("axis", -1)),
        traits=Traits(nonnegative=always),
        lower=lower,
    ),
)

"""Transpose."""

from __future__ import annotations

import onnx

from edgeeff.graph.lowering import Builder, Options, attribute
from edgeeff.graph.model import ints
from edgeeff.graph.operators import Operator, Traits, _rearranging, _sizes, as_first, selects
from edgeeff.graph.views import View, transposed
from edgeeff.graph.writer import Step


def translate(step: Step) -> View:
    """Another view."""
    x = step.view(0)
    return transposed(x, step.attribute("perm", list(reversed(range(len(x.shape))))))


def lower(node: onnx.NodeProto, builder: Builder) -> None:
    """TRANSPOSE, in TFLite's order of axes on both sides.

    Channels put last, for Reshapes to other than four axes (a detector's outputs), lie as TFLite has them: a
    RESHAPE for each is all.
    """
    if _is_flattened(node, builder):
        for reader in builder.consumers[node.output[0]]:
            _rearranging.reshape_as_it_lies(node, reader, builder)
        return
    kept = builder.keeping(node, selects=True)
    rank = len(kept.shape)
    order = attribute(node, "perm", list(reversed(range(rank))))
    here = [_rearranging.axis_of(axis, rank) for axis in _rearranging.ordered(order, rank)]
    operands = [kept.source, builder.integers(f"{kept.name}/order", here)]
    builder.keep(kept, "TRANSPOSE", operands, Options("TransposeOptions"))


def _is_flattened(node: onnx.NodeProto, builder: Builder) -> bool:
    made = node.output[0]
    readers = builder.consumers.get(made, [])
    if list(attribute(node, "perm", [])) != [0, 2, 3, 1] or made in builder.outputs or not readers:
        return False
    return all(
        reader.op_type == "Reshape" and len(builder.shape(reader.output[0])) != 4 for reader in readers
    )


OPERATORS = (
    Operator(
        "Transpose",
        translate=translate,
        most=_sizes.as_read,
        execute=lambda node, x: x[0].permute(ints(node, "perm", list(reversed(range(x[0].dim()))))),
        traits=Traits(selects=selects, nonnegative=as_first),
        lower=lower,
    ),
)

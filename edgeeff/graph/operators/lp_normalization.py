"""LpNormalization of order 2: an embedding brought to the length 1."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import onnx
import onnx_ir as ir

from edgeeff.errors import GraphError
from edgeeff.graph.lowering import Builder, Options, Quantization, attribute
from edgeeff.graph.operators import Operator, Traits, _axes, _padding, _rearranging
from edgeeff.graph.views import CHANNEL, View
from edgeeff.graph.writer import Step

if TYPE_CHECKING:
    from torch import Tensor


#: Scale and zero point of TFLite's specification for L2_NORMALIZATION: −1…1.
FIXED = (1 / 128, 0)


def translate(step: Step) -> View:
    """Over the channels alone."""
    x = _padding.whole(step, 0)
    axis = _axes.counted(step, x, step.attribute("axis", -1))
    if step.attribute("p", 2) != 2:
        step.refuse(f"its order is {step.attribute('p', 2)}, not 2")
    if _axes.dimension(step, x, axis) != CHANNEL:
        step.refuse(f"it normalises axis {axis} of {list(x.shape)}, not the channels")
    sides = (x.dims[2], x.dims[3])
    value = step.write("LpNormalization", [x.value], x.dims[CHANNEL], sides, {"axis": CHANNEL, "p": 2})
    return replace(x, value=value)


def execute(node: ir.Node, x: list[Tensor]) -> Tensor:
    """By the length; zeros stay zeros."""
    length = x[0].square().sum(node.attributes.get_int("axis", -1), keepdim=True).sqrt()
    return x[0] / length.where(length > 0, 1.0)


def lower(node: onnx.NodeProto, builder: Builder) -> None:
    """L2_NORMALIZATION over the last dimension."""
    result = builder.result(node, node.input, clamps=False)
    rank = len(result.shape)
    if attribute(node, "p", 2) != 2 or _rearranging.axis_of(attribute(node, "axis", -1), rank) != rank - 1:
        raise GraphError(
            f"LpNormalization {node.name!r} is not of order 2 over the channels", mend="normalise channels"
        )
    wanted = result.quantization
    if wanted is not None and not wanted.same(Quantization.per_tensor(*FIXED)):
        raise GraphError(
            f"LpNormalization {node.name!r} is quantised with scale {wanted.scale[0]:.6g}",
            mend="use scale 1/128 and zero point 0 there: TFLite's int8 kernel has no other",
        )
    source = builder.operand(node.input[0], result)
    builder.add("L2_NORMALIZATION", [source], builder.produce(result), Options("L2NormOptions"))


OPERATORS = (
    Operator(
        "LpNormalization",
        translate=translate,
        execute=execute,
        traits=Traits(fixed=FIXED, ends_in_float=True),
        lower=lower,
    ),
)

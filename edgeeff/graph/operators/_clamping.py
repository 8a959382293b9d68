"""Clamps, which the importer's ``clamps`` runs together: Clip, Relu, Min and Max with a constant."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx

from edgeeff.errors import GraphError
from edgeeff.graph.lowering import Builder
from edgeeff.graph.model import Array
from edgeeff.graph.operators import _padding
from edgeeff.graph.views import CHANNEL, View
from edgeeff.graph.writer import Step

_UNBOUNDED = float(np.finfo(np.float32).max)


def clamped(step: Step, low: float | None, high: float | None) -> View:
    """A Clip of the input that depends on the image; None is no bound."""
    index = next((i for i, value in enumerate(step.inputs) if isinstance(value, View)), 0)
    x = _padding.whole(step, index)
    bounds = (-_UNBOUNDED if low is None else low, _UNBOUNDED if high is None else high)
    constants = [step.writer.constant(np.asarray(bound, np.float32)) for bound in bounds]
    value = step.write("Clip", [x.value, *constants], x.dims[CHANNEL], (x.dims[2], x.dims[3]))
    return replace(x, value=value)


def other(step: Step) -> float | None:
    """The constant of a Min or Max, one value; None where it is infinite."""
    constants = [value for value in step.inputs if isinstance(value, np.ndarray)]
    if len(constants) != 1 or len(step.inputs) != 2:
        step.refuse("it compares something else than one tensor and one constant")
    return bound(step, constants[0])


def bound(step: Step, constant: Array | None) -> float | None:
    """One value; None where there is none, or an infinite one."""
    if constant is None:
        return None
    values = np.unique(constant)
    if values.size != 1:
        step.refuse(f"its bounds are {values.size} different ones")
    found = float(values[0])
    return found if abs(found) < _UNBOUNDED else None


def lower(node: onnx.NodeProto, builder: Builder) -> None:
    """RELU, RELU6 or RELU_N1_TO_1, where no operator before it could fuse the clamp."""
    activation = builder.clamp(node)
    if not activation:
        raise GraphError(
            f"Clip {node.name!r} has bounds that no TFLite activation has",
            mend="clip to 0…6, −1…1 or 0…∞",
        )
    result = builder.result(node, node.input[:1], clamps=False)
    code = {1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6"}[activation]
    builder.add(code, [builder.operand(node.input[0], result)], builder.produce(result))

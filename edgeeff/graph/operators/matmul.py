"""MatMul with constant weights on the right."""

from __future__ import annotations

from edgeeff.graph.operators import Operator, _dense
from edgeeff.graph.views import View
from edgeeff.graph.writer import Step


def translate(step: Step) -> View:
    """A 1×1 convolution with weights [inputs, outputs]."""
    weight = step.required(1)
    return _dense.dense(step, step.unpadded(0), weight, None)


OPERATORS = (Operator("MatMul", translate=translate),)

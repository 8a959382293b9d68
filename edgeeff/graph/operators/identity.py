"""Identity."""

from __future__ import annotations

import onnx

from edgeeff.graph.lowering import Builder
from edgeeff.graph.operators import Operator, Traits, _sizes, as_first, selects
from edgeeff.graph.views import View
from edgeeff.graph.writer import Step


def translate(step: Step) -> View:
    """The output is the input."""
    return step.view(0)


def lower(node: onnx.NodeProto, builder: Builder) -> None:
    """Nothing: readers take what it reads."""
    builder.store(node.output[0], builder.stored(node.input[0]))


OPERATORS = (
    Operator(
        "Identity",
        translate=translate,
        most=_sizes.as_read,
        execute=lambda _, x: x[0],
        traits=Traits(selects=selects, nonnegative=as_first),
        lower=lower,
    ),
)

"""HardSigmoid: max(0, min(1, alpha · x + beta))."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir

from edgeeff.graph.lowering import Builder, Options, attribute
from edgeeff.graph.lowering import Tensor as Constant
from edgeeff.graph.operators import Operator, Traits, _unary, always
from edgeeff.graph.views import View
from edgeeff.graph.writer import Step

if TYPE_CHECKING:
    from torch import Tensor


_ALPHA, _BETA = 0.2, 0.5
_RELU6 = 3  # the schema's ActivationFunctionType


def translate(step: Step) -> View:
    """The same."""
    alpha, beta = step.attribute("alpha", _ALPHA), step.attribute("beta", _BETA)
    return _unary.written(step, "HardSigmoid", alpha=alpha, beta=beta)


def execute(node: ir.Node, x: list[Tensor]) -> Tensor:
    """In one step."""
    alpha, beta = node.attributes.get_float("alpha", _ALPHA), node.attributes.get_float("beta", _BETA)
    return (x[0] * alpha + beta).clamp(0, 1)


def lower(node: onnx.NodeProto, builder: Builder) -> None:
    """RELU6 of six times the line, by 6: TFLite has no clamp at 1 that begins at 0. It stays float."""
    result = builder.result(node, node.input, clamps=False, integers=False)
    tensor = builder.operand(node.input[0], result)
    alpha, beta = attribute(node, "alpha", _ALPHA), attribute(node, "beta", _BETA)
    steps = (("MUL", "MulOptions", 6 * alpha, 0), ("ADD", "AddOptions", 6 * beta, _RELU6))
    for code, table, number, activation in steps:
        made = builder.tensor(f"{result.name}/{code.lower()}", result.shape, "float32")
        options = Options(table, {"fusedActivationFunction": activation})
        tensor = builder.add(code, [tensor, _scalar(number, made.name, builder)], made, options)
    sixth = _scalar(1 / 6, result.name, builder)
    builder.add("MUL", [tensor, sixth], builder.produce(result), Options("MulOptions"))


def _scalar(number: float, name: str, builder: Builder) -> Constant:
    return builder.tensor(f"{name}/factor", (1,), "float32", None, np.full(1, number, np.float32))


OPERATORS = (
    Operator(
        "HardSigmoid",
        translate=translate,
        execute=execute,
        traits=Traits(activation=True, nonnegative=always),
        lower=lower,
    ),
)

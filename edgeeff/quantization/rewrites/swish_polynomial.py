"""Swish written as arithmetic (polynomial.py), with the factor of an equalisation behind it folded in.

    x ── Swish ── y ── Mul(f) ── z

    ⇒   m = |x|    a = min(m, L)    z = (f/2)·x + m·a·(f·c₁ + a·(f·c₂ + a·(f·c₃ + a·f·c₄)))

L, f and c are one number for each channel, constants [1, C, 1, 1]. OpenVINO makes of it all, and of the
quantiser behind it, one elementwise kernel between two INT8 convolutions; so does any compiler that fuses
elementwise operators. The Swish of a squeeze-and-excite vector is left as it is: there is nothing to win.

The statistics of y and z stay as they are: the form errs by less than half a step of the quantiser.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgeeff.calibration.statistics import Statistics
from edgeeff.graph.model import add_constant, constant, remove
from edgeeff.graph.passes.fuse_swish import OPERATOR
from edgeeff.quantization import polynomial
from edgeeff.quantization.polynomial import Polynomial
from edgeeff.quantization.rewrites.equalise import SUFFIX

F64 = npt.NDArray[np.float64]


def candidates(model: ir.Model) -> Iterator[ir.Node]:
    """The Swish nodes that work on feature maps."""
    for node in model.graph:
        shape = node.outputs[0].shape
        if node.op_type == OPERATOR and shape is not None and tuple(shape)[2:] not in ((), (1, 1)):
            yield node


def written(model: ir.Model) -> tuple[str, ...]:
    """The names of the tensors that the arithmetic makes."""
    return tuple(str(_equalised(node)[0].outputs[0].name) for node in candidates(model))


def fit(model: ir.Model, statistics: Statistics) -> dict[str, Polynomial]:
    """The polynomials, by Swish's output."""
    found = {}
    for node in candidates(model):
        assert node.inputs[0] is not None
        found[str(node.outputs[0].name)] = polynomial.fit(statistics[str(node.inputs[0].name)])
    return found


def rewrite(model: ir.Model, fits: Mapping[str, Polynomial]) -> ir.Model:
    """A graph whose Swishes are arithmetic; the argument is left as it is."""
    model = model.clone()
    for swish in list(candidates(model)):
        _write_out(model.graph, swish, fits[str(swish.outputs[0].name)])
    return model


def _write_out(graph: ir.Graph, swish: ir.Node, found: Polynomial) -> None:
    last, factor = _equalised(swish)
    output, name = last.outputs[0], str(last.outputs[0].name)
    x = swish.inputs[0]
    assert x is not None
    made: list[ir.Node] = []

    def node(operator: str, part: str, *inputs: ir.Value) -> ir.Value:
        label = f"{name}.{part}" if part else name
        made.append(ir.Node("", operator, list(inputs), name=label, num_outputs=1))
        value = made[-1].outputs[0]
        value.name, value.shape, value.dtype = label, output.shape, ir.DataType.FLOAT
        return value

    def number(part: str, values: F64) -> ir.Value:
        return add_constant(graph, f"{name}.{part}", values.astype(np.float32).reshape(1, -1, 1, 1))

    coefficients = found.coefficients * factor.reshape(-1, 1)
    magnitude = node("Abs", "magnitude", x)
    held = node("Min", "held", magnitude, number("limit", found.limit))
    degree = coefficients.shape[1]
    rise = node("Mul", f"power{degree}", held, number(f"c{degree}", coefficients[:, -1]))
    for power in range(degree - 1, 0, -1):
        rise = node("Add", f"sum{power}", rise, number(f"c{power}", coefficients[:, power - 1]))
        rise = node("Mul", f"power{power}", rise, held)
    even = node("Mul", "even", rise, magnitude)
    half = np.broadcast_to(0.5 * factor, found.limit.shape)
    result = node("Add", "", even, node("Mul", "odd", x, number("half", half)))
    graph.insert_before(swish, made)
    remove(last, result)
    if last is not swish:
        graph.remove(swish, safe=True)
    result.name = name


def _equalised(swish: ir.Node) -> tuple[ir.Node, F64]:
    """The node whose output the arithmetic makes, and the factor of each channel, [C] or [1]."""
    uses = list(swish.outputs[0].uses())
    if len(uses) == 1:
        reader = uses[0][0]
        factor = constant(reader.inputs[1]) if reader.op_type == "Mul" and len(reader.inputs) == 2 else None
        if factor is not None and str(reader.outputs[0].name).endswith(SUFFIX):
            return reader, factor.astype(np.float64).reshape(-1)
    return swish, np.ones(1)

"""Mul: also what remains of Swish where it is written in steps, and the gate of squeeze-excite."""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from edgeeff.graph.lowering import Builder, Tensor
from edgeeff.graph.operators import Operator, Traits, _elementwise, _sizes
from edgeeff.graph.views import View
from edgeeff.graph.writer import Step


def translate(step: Step) -> View:
    """Of two tensors, or of a tensor and a constant."""
    return _elementwise.combined(step, "Mul") or _elementwise.with_constant(step, lambda k: (k, 0.0))


def lower(node: onnx.NodeProto, builder: Builder) -> None:
    """MUL, of version 3 where its kernel has to multiply by more than 1."""
    _elementwise.lower(node, builder, _version)


def _version(operands: Sequence[Tensor], made: Tensor) -> int | None:
    scales = [float(t.quantization.scale[0]) for t in (*operands, made) if t.quantization is not None]
    return 3 if len(scales) == 3 and scales[0] * scales[1] / scales[2] >= 1 else None


OPERATORS = (
    Operator(
        "Mul",
        translate=translate,
        most=_sizes.broadcast,
        execute=lambda _, x: x[0] * x[1],
        traits=Traits(lopsided=True, constants=True),
        lower=lower,
    ),
)

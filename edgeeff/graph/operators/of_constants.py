"""What files compute of constants alone: sizes, and weights that were not folded."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, prod

from edgeeff.graph.model import Array
from edgeeff.graph.operators import Operator, _sizes

_ELEMENTWISE = (
    *("Abs", "And", "Ceil", "Equal", "Exp", "Floor", "Greater", "Less", "Mod", "Not", "Or"),
    *("Round", "Sign", "Where"),
)


def _filled(inputs: Sequence[Array]) -> int:
    return prod(int(size) for size in inputs[0].reshape(-1))


def _counted(inputs: Sequence[Array]) -> int:
    start, limit, delta = (float(value.reshape(-1)[0]) for value in inputs)
    return max(ceil((limit - start) / delta), 0)


OPERATORS = (
    *(Operator(name, most=_sizes.broadcast) for name in _ELEMENTWISE),
    *(Operator(name, most=_sizes.as_read) for name in ("Constant", "ReduceProd", "Size")),
    Operator("ConstantOfShape", most=_filled),
    Operator("Range", most=_counted),
)

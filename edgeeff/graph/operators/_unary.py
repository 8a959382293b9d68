"""Functions of one tensor, element by element."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from edgeeff.graph.operators import _padding
from edgeeff.graph.views import CHANNEL, View
from edgeeff.graph.writer import Step


def of(operator: str) -> Callable[[Step], View]:
    """The translation of an operator that we have by the same name."""
    return lambda step: written(step, operator)


def written(step: Step, operator: str, **attributes: float) -> View:
    """A node of this operator on the first input."""
    x = _padding.whole(step, 0)
    value = step.write(operator, [x.value], x.dims[CHANNEL], (x.dims[2], x.dims[3]), attributes)
    return replace(x, value=value)

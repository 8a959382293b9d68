"""Gather of channels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgeeff.graph.model import Array
from edgeeff.graph.operators import Operator, _axes, _channels
from edgeeff.graph.operators.slice import written
from edgeeff.graph.views import CHANNEL, View, reshaped
from edgeeff.graph.writer import Step


def translate(step: Step) -> View:
    """Of channels, all or some, in any order; of one alone by a number, its axis goes."""
    x, indices = step.unpadded(0), step.required(1)
    axis = _axes.counted(step, x, step.attribute("axis", 0))
    if indices.ndim > 1 or indices.dtype.kind not in "iu":
        step.refuse(f"its indices are {indices.dtype} of {list(indices.shape)}")
    size = x.shape[axis]
    chosen = np.asarray([_within(step, int(i), size) for i in indices.reshape(-1)], np.int64)
    whole = size == 1 and not x.runs_over(axis, CHANNEL)
    if whole:
        found = x
    elif _channels.in_front(x) and x.runs_over(axis, CHANNEL):
        found = _channels.chosen(step, x, axis, chosen)
    else:
        found = written(step, x, axis, _run(step, chosen))
    return found if indices.ndim else reshaped(found, [n for i, n in enumerate(found.shape) if i != axis])


def _run(step: Step, chosen: npt.NDArray[np.int64]) -> range:
    """Indices that follow each other, as a slice takes them."""
    first, count = int(chosen[0]) if len(chosen) else 0, len(chosen)
    if (chosen != first + np.arange(count)).any():
        step.refuse("it takes parts in another order than they have, inside of the network")
    return range(first, first + count)


def _within(step: Step, index: int, size: int) -> int:
    if not -size <= index < size:
        step.refuse(f"it takes number {index} of {size}")
    return index % size


def _most(inputs: Sequence[Array]) -> int:
    return inputs[0].size * inputs[1].size


OPERATORS = (
    Operator(
        "Gather",
        translate=translate,
        most=_most,
        execute=lambda node, x: x[0].index_select(node.attributes.get_int("axis", 0), x[1]),
    ),
)

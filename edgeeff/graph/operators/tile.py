"""Tile of the channels."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from edgeeff.graph.model import Array
from edgeeff.graph.operators import Operator, _channels
from edgeeff.graph.views import View
from edgeeff.graph.writer import Step


def translate(step: Step) -> View:
    """All of them, several times."""
    x = step.unpadded(0)
    return _channels.repeated(step, x, [int(times) for times in step.required(1).reshape(-1)])


def _most(inputs: Sequence[Array]) -> int:
    return inputs[0].size * prod(int(times) for times in inputs[1].reshape(-1))


OPERATORS = (Operator("Tile", translate=translate, most=_most),)

"""Shape."""

from __future__ import annotations

import numpy as np

from edgeeff.graph.model import Array
from edgeeff.graph.operators import Operator, _sizes
from edgeeff.graph.writer import Step


def translate(step: Step) -> Array:
    """A constant: the size of every tensor is known."""
    found = step.view(0).shape
    start, end = step.attribute("start", 0), step.attribute("end", len(found))
    return np.asarray(found[start:end], np.int64)


OPERATORS = (Operator("Shape", translate=translate, most=_sizes.as_read),)

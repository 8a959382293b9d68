"""Neg."""

from __future__ import annotations

import numpy as np

from edgeeff.graph.operators import Operator, _elementwise, _sizes
from edgeeff.graph.views import View
from edgeeff.graph.writer import Step


def translate(step: Step) -> View:
    """A product with −1."""
    return _elementwise.affine(step, step.unpadded(0), -np.ones(1), np.zeros(1))


OPERATORS = (Operator("Neg", translate=translate, most=_sizes.broadcast),)

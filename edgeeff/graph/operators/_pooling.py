"""The mean over all pixels, in each of the ways that files write it."""

from __future__ import annotations

from edgeeff.graph.views import View, nchw
from edgeeff.graph.writer import Step


def pooled(step: Step, x: View) -> View:
    """A GlobalAveragePool of a tensor."""
    value = step.write("GlobalAveragePool", [x.value], x.dims[1], (1, 1))
    return nchw(value, (x.dims[0], x.dims[1], 1, 1))

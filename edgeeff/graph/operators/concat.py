"""Concat of channels."""

from __future__ import annotations

from edgeeff.graph.operators import Operator, _channels, _sizes
from edgeeff.graph.views import View
from edgeeff.graph.writer import Step


def translate(step: Step) -> View:
    """Of channels that were taken out of one tensor, or of that tensor several times."""
    if any(not isinstance(value, View) for value in step.inputs):
        step.refuse("it puts together what depends on the image and what does not")
    views = [step.unpadded(i) for i in range(len(step.inputs))]
    first = views[0]
    axis = _channels.axis_of(step, first, step.attribute("axis", 0))
    if not all(_channels.lies_as(view, first, axis) for view in views):
        step.refuse(f"it puts together tensors of {[list(view.shape) for view in views]}, not their channels")
    return _channels.together(step, first, axis, [_channels.part_of(view.value) for view in views])


OPERATORS = (Operator("Concat", translate=translate, most=_sizes.as_read),)

"""Activations. Swish is found by the passes, in Sigmoid and Mul; clamps are run together in :mod:`clamps`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgeeff.graph.importing.views import CHANNEL, View
from edgeeff.graph.importing.writer import Step
from edgeeff.graph.model import Array

_UNBOUNDED = float(np.finfo(np.float32).max)


def relu(step: Step) -> View:
    """Relu."""
    return _unary(step, "Relu")


def sigmoid(step: Step) -> View:
    """Sigmoid."""
    return _unary(step, "Sigmoid")


def clip(step: Step) -> View:
    """Clip between constants."""
    return _clamped(step, _bound(step, step.constant(1)), _bound(step, step.constant(2)))


def minimum(step: Step) -> View:
    """Min of a tensor and a constant: a clamp from above."""
    return _clamped(step, None, _other(step))


def maximum(step: Step) -> View:
    """Max of a tensor and a constant: a clamp from below."""
    return _clamped(step, _other(step), None)


def softmax(step: Step) -> View:
    """Softmax over the channels; only at the end, where :mod:`head` cuts it off."""
    x = step.unpadded(0)
    axis = step.attribute("axis", 1 if step.opset < 13 else -1)
    if not x.is_vector or not -len(x.shape) <= axis < len(x.shape) or not x.runs_over(axis, CHANNEL):
        step.refuse(f"it normalises the axis {axis} of {list(x.shape)}, not the classes")
    return _unary(step, "Softmax", axis=1)


def _unary(step: Step, operator: str, **attributes: int) -> View:
    x = step.unpadded(0)
    value = step.write(operator, [x.value], x.dims[CHANNEL], (x.dims[2], x.dims[3]), attributes)
    return replace(x, value=value)


def _clamped(step: Step, low: float | None, high: float | None) -> View:
    index = next((i for i, value in enumerate(step.inputs) if isinstance(value, View)), 0)
    x = step.unpadded(index)
    bounds = (-_UNBOUNDED if low is None else low, _UNBOUNDED if high is None else high)
    constants = [step.writer.constant(np.asarray(bound, np.float32)) for bound in bounds]
    value = step.write("Clip", [x.value, *constants], x.dims[CHANNEL], (x.dims[2], x.dims[3]))
    return replace(x, value=value)


def _other(step: Step) -> float | None:
    constants = [value for value in step.inputs if isinstance(value, np.ndarray)]
    if len(constants) != 1 or len(step.inputs) != 2:
        step.refuse("it compares something else than one tensor and one constant")
    return _bound(step, constants[0])


def _bound(step: Step, constant: Array | None) -> float | None:
    """One value; None where there is none, or an infinite one."""
    if constant is None:
        return None
    values = np.unique(constant)
    if values.size != 1:
        step.refuse(f"its bounds are {values.size} different ones")
    bound = float(values[0])
    return bound if abs(bound) < _UNBOUNDED else None


OPERATORS = {
    "Clip": clip,
    "Max": maximum,
    "Min": minimum,
    "Relu": relu,
    "Sigmoid": sigmoid,
    "Softmax": softmax,
}

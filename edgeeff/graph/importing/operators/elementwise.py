"""Sums and products: of two tensors, or with a constant for each channel.

With constants they are most of what tf2onnx and Keras leave of batch normalisation, and of the normalisation
of the input. They are written as Mul and Add, for :mod:`affine` and :mod:`normalisation` to take up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from edgeeff.graph.importing.affine import Vector
from edgeeff.graph.importing.views import CHANNEL, View, broadcast
from edgeeff.graph.importing.writer import Step
from edgeeff.graph.model import Array


def add(step: Step) -> View:
    """Add."""
    return _combined(step, "Add") or _with_constant(step, lambda k: (1.0, k))


def mul(step: Step) -> View:
    """Mul."""
    return _combined(step, "Mul") or _with_constant(step, lambda k: (k, 0.0))


def sub(step: Step) -> View:
    """Sub of a constant, or from one."""
    if isinstance(step.inputs[0], View):
        return _with_constant(step, lambda k: (1.0, -k))
    return _with_constant(step, lambda k: (-1.0, k))


def div(step: Step) -> View:
    """Div by a constant."""
    if not isinstance(step.inputs[0], View):
        step.refuse("it divides by a tensor that depends on the image")
    with np.errstate(divide="ignore"):  # what is infinite is refused when it is written
        return _with_constant(step, lambda k: (1 / k, 0.0))


def neg(step: Step) -> View:
    """Neg."""
    return affine(step, step.unpadded(0), -np.ones(1), np.zeros(1))


def batch_normalization(step: Step) -> View:
    """BatchNormalization at inference."""
    x = step.unpadded(0)
    if step.attribute("training_mode", 0):
        step.refuse("it normalises by each batch: the network was exported in training mode")
    channels = x.dims[CHANNEL]
    operands = [step.required(i) for i in range(1, 5)]
    if len(x.shape) < 2 or not x.runs_over(1, CHANNEL) or any(a.shape != (channels,) for a in operands):
        step.refuse(f"its statistics are of {[list(a.shape) for a in operands]} for {channels} channels")
    gamma, beta, mean, variance = (a.astype(np.float64) for a in operands)
    epsilon = step.attribute("epsilon", 1e-5)
    if not (variance + epsilon > 0).all():
        step.refuse("a variance is negative")
    producer = x.value.producer()
    if producer is None or producer.op_type != "Conv" or x.is_vector:
        gain = gamma / np.sqrt(variance + epsilon)
        return affine(step, x, gain, beta - mean * gain)
    # The passes fold it: one place holds that arithmetic, for our own networks and for others.
    constants = [step.writer.constant(step.finite(a)) for a in operands]
    value = step.write(
        "BatchNormalization", [x.value, *constants], channels, (x.dims[2], x.dims[3]), {"epsilon": epsilon}
    )
    return replace(x, value=value)


def affine(step: Step, x: View, scale: Array, shift: Array) -> View:
    """x · scale + shift, each of one value or one for each channel; what changes nothing is not written."""
    channels, sides, value = x.dims[CHANNEL], (x.dims[2], x.dims[3]), x.value
    for operator, operand, neutral in (("Mul", scale, 1), ("Add", shift, 0)):
        if (operand != neutral).any():
            each = step.channels(np.broadcast_to(operand.reshape(-1), (channels,)))
            value = step.write(operator, [value, each], channels, sides)
    return replace(x, value=value)


def _combined(step: Step, operator: str) -> View | None:
    """Two tensors that both depend on the image."""
    if not all(isinstance(value, View) for value in step.inputs):
        return None
    left, right = step.unpadded(0), step.unpadded(1)
    shape, axes = broadcast(left, right)
    pairs = list(zip(left.dims, right.dims, strict=True))
    batch, channels, height, width = (max(pair) for pair in pairs)
    value = step.write(operator, [left.value, right.value], channels, (height, width))
    return View(value, (batch, channels, height, width), shape, axes)


def _with_constant(step: Step, of: Callable[[Vector], tuple[Vector | float, Vector | float]]) -> View:
    """A tensor, and the scale and shift that ``of`` makes of a constant."""
    index = 0 if isinstance(step.inputs[0], View) else 1
    x, constant = step.view(index), step.required(1 - index)
    if x.pads != (0, 0, 0, 0):
        step.refuse("it changes a tensor after zeros were put around it; they would no longer be zeros")
    x = _of_rank(x, max(len(x.shape), constant.ndim))
    scale, shift = of(_per_channel(step, x, constant).astype(np.float64))
    return affine(step, x, np.atleast_1d(np.asarray(scale)), np.atleast_1d(np.asarray(shift)))


def _of_rank(x: View, rank: int) -> View:
    missing = rank - len(x.shape)
    return replace(x, shape=(1,) * missing + x.shape, axes=((),) * missing + x.axes)


def _per_channel(step: Step, x: View, constant: Array) -> Array:
    """A constant as one value, or one for each channel."""
    values = constant.reshape((1,) * (len(x.shape) - constant.ndim) + constant.shape)
    for axis, size in enumerate(values.shape):
        if size not in (1, x.shape[axis]):
            step.refuse(f"a constant of {list(constant.shape)} does not fit {list(x.shape)}")
        if size > 1 and not x.runs_over(axis, CHANNEL):
            first = values.take([0], axis)
            if (values != first).any():
                step.refuse(
                    f"a constant of {list(constant.shape)} differs along an axis that is not the channels"
                )
            values = first
    return values.reshape(-1)


OPERATORS = {
    "Add": add,
    "BatchNormalization": batch_normalization,
    "Div": div,
    "Mul": mul,
    "Neg": neg,
    "Sub": sub,
}

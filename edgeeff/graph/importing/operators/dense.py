"""Matrix products: on channels they are 1×1 convolutions, wherever the file keeps the channels.

The classifier becomes a Gemm again in :mod:`head`; in a squeeze-excite branch a convolution is our form.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgeeff.graph.importing.views import CHANNEL, View
from edgeeff.graph.importing.writer import Step
from edgeeff.graph.model import Array


def matmul(step: Step) -> View:
    """MatMul with constant weights [inputs, outputs] on the right."""
    weight = step.required(1)
    return _dense(step, step.unpadded(0), weight, None)


def gemm(step: Step) -> View:
    """Gemm with constant weights."""
    weight, bias = step.required(1), step.constant(2)
    if step.attribute("transA", 0):
        step.refuse("it transposes its input")
    scaled = step.attribute("alpha", 1.0) * weight.astype(np.float64)
    if bias is not None:
        bias = step.attribute("beta", 1.0) * bias.astype(np.float64)
    return _dense(step, step.unpadded(0), scaled.T if step.attribute("transB", 0) else scaled, bias)


def _dense(step: Step, x: View, weight: Array, bias: Array | None) -> View:
    if weight.ndim != 2 or not x.shape or weight.shape[0] != x.shape[-1]:
        step.refuse(f"it multiplies {list(x.shape)} with weights of {list(weight.shape)}")
    inputs, outputs = weight.shape
    if inputs != x.dims[CHANNEL] or not x.runs_over(-1, CHANNEL) or not outputs:
        step.refuse(
            f"its input {list(x.shape)} does not end in the channels alone: there is no pooling before it"
        )
    bias = np.zeros(1) if bias is None else bias
    if bias.size not in (1, outputs):
        step.refuse(f"it adds {list(bias.shape)} to {outputs} channels")
    each = np.broadcast_to(bias.reshape(-1), (outputs,))
    kernels = np.ascontiguousarray(weight.T)[:, :, None, None]
    operands = [x.value, *(step.writer.constant(step.finite(array)) for array in (kernels, each))]
    sides = (x.dims[2], x.dims[3])
    attributes = {
        "dilations": [1, 1],
        "group": 1,
        "kernel_shape": [1, 1],
        "pads": [0, 0, 0, 0],
        "strides": [1, 1],
    }
    value = step.write("Conv", operands, outputs, sides, attributes)
    axis: tuple[int, ...] = (CHANNEL,) if outputs > 1 else ()
    return replace(
        x,
        value=value,
        dims=(x.dims[0], outputs, *sides),
        shape=(*x.shape[:-1], outputs),
        axes=(*x.axes[:-1], axis),
    )


OPERATORS = {"Gemm": gemm, "MatMul": matmul}

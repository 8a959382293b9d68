"""Matrix products: on channels they are 1×1 convolutions, wherever the file keeps the channels.

The classifier becomes a Gemm again in the importer's ``head``; in a squeeze-excite branch a convolution is
our form.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgeeff.graph.model import Array
from edgeeff.graph.views import CHANNEL, View
from edgeeff.graph.writer import Step


def dense(step: Step, x: View, weight: Array, bias: Array | None) -> View:
    """A product with weights [inputs, outputs], and a bias of one value or one for each output."""
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

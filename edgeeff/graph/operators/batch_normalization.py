"""BatchNormalization, which the passes fold into the convolution before it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from edgeeff.graph.operators import Operator, _elementwise
from edgeeff.graph.views import CHANNEL, View
from edgeeff.graph.writer import Step

if TYPE_CHECKING:
    from torch import Tensor


def translate(step: Step) -> View:
    """At inference; what follows no convolution is a product and a sum."""
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
        return _elementwise.affine(step, x, gain, beta - mean * gain)
    # The passes fold it: one place holds that arithmetic, for our own networks and for others.
    constants = [step.writer.constant(step.finite(a)) for a in operands]
    value = step.write(
        "BatchNormalization", [x.value, *constants], channels, (x.dims[2], x.dims[3]), {"epsilon": epsilon}
    )
    return replace(x, value=value)


def execute(node: ir.Node, x: list[Tensor]) -> Tensor:
    """As torch has it, in float32."""
    from torch.nn import functional as F

    return F.batch_norm(x[0], x[3], x[4], x[1], x[2], eps=node.attributes.get_float("epsilon", 1e-5))


OPERATORS = (Operator("BatchNormalization", translate=translate, execute=execute),)

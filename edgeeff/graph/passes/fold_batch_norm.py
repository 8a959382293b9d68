"""Fold inference-time batch normalisation into the convolution before it.

    x ─ Conv(W, b) ─ BatchNormalization(γ, β, μ, σ²) ─ y      ⇒      x ─ Conv(W·g, (b − μ)·g + β) ─ y

with g = γ / √(σ² + ε) for each output channel (Jacob et al. 2018, section 3.2). The mean and the standard
deviation that y has over the training images, β and |g|·σ, are written down on the convolution.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgeeff.graph import expectations
from edgeeff.graph.expectations import Expectation
from edgeeff.graph.model import add_constant, constant, drop_unused_constants, remove

REQUIRES = frozenset({"constants are initializers"})
ENSURES = frozenset({"batch normalisation is folded"})


def rewrite(model: ir.Model) -> bool:
    """Fold each BatchNormalization whose input is a convolution that nothing else reads."""
    changed = False
    for norm in [n for n in model.graph if n.op_type == "BatchNormalization"]:
        convolution = norm.inputs[0].producer() if norm.inputs[0] is not None else None
        if convolution is None or convolution.op_type != "Conv":
            continue
        if len(convolution.outputs[0].uses()) != 1 or convolution.outputs[0].is_graph_output():
            continue
        weight = constant(convolution.inputs[1])
        statistics = [constant(value) for value in norm.inputs[1:5]]
        if weight is None or any(array is None for array in statistics):
            continue
        gamma, beta, mean, variance = (np.asarray(a, np.float64) for a in statistics)
        epsilon = norm.attributes.get_float("epsilon", 1e-5)
        bias = constant(convolution.inputs[2]) if len(convolution.inputs) > 2 else None
        # In double precision: near-zero variances make g large, and the rounding is paid once.
        gain = gamma / np.sqrt(variance + epsilon)
        folded = weight.astype(np.float64) * gain.reshape(-1, 1, 1, 1)
        shifted = ((0.0 if bias is None else bias.astype(np.float64)) - mean) * gain + beta
        name = convolution.outputs[0].name
        values = [
            add_constant(model.graph, f"{name}.weight", folded.astype(np.float32)),
            add_constant(model.graph, f"{name}.bias", shifted.astype(np.float32)),
        ]
        convolution.resize_inputs(3)
        convolution.replace_input_with(1, values[0])
        convolution.replace_input_with(2, values[1])
        spread = np.abs(gain) * np.sqrt(np.maximum(variance, 0.0))
        expectations.record(convolution, Expectation(beta, spread))
        remove(norm, convolution.outputs[0])
        changed = True
    drop_unused_constants(model)
    return changed

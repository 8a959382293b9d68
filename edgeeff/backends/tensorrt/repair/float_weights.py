"""Weights as float through QuantizeLinear → the codes that it makes of them, as an initializer.

Fake quantisation in training and onnxruntime's ``AddQDQPairToWeight`` write them so. A Q of a constant is a
constant: it is computed here as onnxruntime computes it.

    W ─ Q ─ DQ ─ Conv      ⇒      W₈ ─ DQ ─ Conv
"""

from __future__ import annotations

import numpy as np

from edgeeff.backends.tensorrt.repair._draft import QUANTIZE, Array, Draft, Parameters, plural

AFTER = frozenset({"explicit_zero_point", "float32_types"})


def rewrite(draft: Draft) -> str | None:
    """Of every constant that a QuantizeLinear reads."""
    computed = []
    for node in draft.nodes(QUANTIZE):
        values, parameters = draft.array(node.input[0]), draft.parameters(node)
        if (
            values is None
            or parameters is None
            or values.dtype != np.float32
            or node.output[0] in draft.outputs
        ):
            continue
        codes = _codes(values, parameters)
        if codes is not None:
            draft.set(node.output[0], codes)
            computed.append(node)
    draft.remove(computed)
    if not computed:
        return None
    return (
        f"{plural(len(computed), 'float constant')} behind QuantizeLinear became the codes it makes of them"
    )


def _codes(values: Array, parameters: Parameters) -> Array | None:
    scale, zero = (parameters.along(values, p) for p in (parameters.scale, parameters.zero))
    if scale is None or zero is None or zero.dtype.itemsize > 2:
        return None
    limits = np.iinfo(zero.dtype)
    with np.errstate(over="ignore"):
        # Half to even, as the specification of QuantizeLinear has it; infinity is clipped below.
        steps = np.rint(values / scale)
    codes: Array = np.clip(steps + zero.astype(np.float32), limits.min, limits.max).astype(zero.dtype)
    return codes

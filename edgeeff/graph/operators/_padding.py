"""Zeros around an image, as an operator of TFLite."""

from __future__ import annotations

import numpy as np

from edgeeff.graph.lowering import Builder, Options, Tensor


def around(source: Tensor, pads: list[int], builder: Builder) -> Tensor:
    """A PAD of top, left, bottom, right: it fills with real 0, which in int8 is the zero point."""
    top, left, bottom, right = pads
    batch, height, width, channels = source.shape
    shape = (batch, height + top + bottom, width + left + right, channels)
    target = builder.tensor(f"{source.name}/padded", shape, source.type, source.quantization)
    amounts = np.array([[0, 0], [top, bottom], [left, right], [0, 0]])
    operands = [source, builder.integers(f"{target.name}/amounts", amounts)]
    return builder.add("PAD", operands, target, Options("PadOptions"))

"""QuantizeLinear and DequantizeLinear, where no other operator's lowering has absorbed them."""

from __future__ import annotations

import numpy as np
import onnx

from edgeeff.errors import GraphError
from edgeeff.graph.lowering import Builder, Codes, Options, Quantization
from edgeeff.graph.operators import Operator


def quantize(node: onnx.NodeProto, builder: Builder) -> None:
    """A float tensor becomes int8; an int8 one takes another scale, or stays itself if it has that scale."""
    source, quantization = builder.stored(node.input[0]), builder.parameters(node)
    if quantization.scale.size != 1:
        raise GraphError(
            f"QuantizeLinear {node.name!r} gives an activation a scale for each channel",
            mend="quantise activations with one scale: TFLite has no other",
        )
    if not quantization.same(source.quantization):
        target = builder.tensor(f"{node.input[0]}/int8", source.shape, "int8", quantization)
        source = builder.add("QUANTIZE", [source], target, Options("QuantizeOptions"), version=1)
    builder.store(node.output[0], source)


def dequantize(node: onnx.NodeProto, builder: Builder) -> None:
    """Nothing is computed: readers take the integers, with the scale they carry."""
    stored = builder.constant(node.input[0])
    quantization = builder.parameters(node)
    if stored is not None:
        axis = quantization.axis % max(stored.ndim, 1)
        if stored.dtype == np.uint8:
            stored = (stored.astype(np.int16) - 128).astype(np.int8)
        quantization = Quantization(quantization.scale, quantization.zero_point, axis)
        builder.store_codes(node.output[0], Codes(stored, quantization))
        return
    source = builder.stored(node.input[0])
    if not quantization.same(source.quantization):
        raise GraphError(
            f"DequantizeLinear {node.name!r} has another scale than the QuantizeLinear it reads",
            mend="give both the same scale and zero point",
        )
    builder.store(node.output[0], source)


OPERATORS = (
    Operator("QuantizeLinear", lower=quantize),
    Operator("DequantizeLinear", lower=dequantize),
)

"""QuantizeLinear and DequantizeLinear, where no operator has absorbed them."""

from __future__ import annotations

import numpy as np
import onnx

from edgeeff.backends.tflite.lowering import lowers
from edgeeff.backends.tflite.model import Quantization
from edgeeff.backends.tflite.network import Codes, Network
from edgeeff.errors import GraphError


@lowers("QuantizeLinear")
def quantize(node: onnx.NodeProto, network: Network) -> None:
    """A float tensor becomes int8; an int8 one takes another scale, or stays itself if it has that scale."""
    source, quantization = network.stored(node.input[0]), network.parameters(node)
    if quantization.scale.size != 1:
        raise GraphError(
            f"QuantizeLinear {node.name!r} gives an activation a scale for each channel",
            mend="quantise activations with one scale: TFLite has no other",
        )
    if not quantization.same(source.quantization):
        target = network.tensor(f"{node.input[0]}/int8", source.shape, "int8", quantization)
        source = network.add("QUANTIZE", [source], target)
    network.store(node.output[0], source)


@lowers("DequantizeLinear")
def dequantize(node: onnx.NodeProto, network: Network) -> None:
    """Nothing is computed: readers take the integers, with the scale they carry."""
    stored = network.constant(node.input[0])
    quantization = network.parameters(node)
    if stored is not None:
        axis = quantization.axis % max(stored.ndim, 1)
        if stored.dtype == np.uint8:
            stored = (stored.astype(np.int16) - 128).astype(np.int8)
        quantization = Quantization(quantization.scale, quantization.zero_point, axis)
        network.store_codes(node.output[0], Codes(stored, quantization))
        return
    source = network.stored(node.input[0])
    if not quantization.same(source.quantization):
        raise GraphError(
            f"DequantizeLinear {node.name!r} has another scale than the QuantizeLinear it reads",
            mend="give both the same scale and zero point",
        )
    network.store(node.output[0], source)

"""Gemm with constant weights: the classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir

from edgeeff.errors import GraphError
from edgeeff.graph.lowering import Builder, Options, attribute
from edgeeff.graph.operators import Operator, Traits, _dense, _weights
from edgeeff.graph.views import View
from edgeeff.graph.writer import Step

if TYPE_CHECKING:
    from torch import Tensor


def translate(step: Step) -> View:
    """A 1×1 convolution."""
    weight, bias = step.required(1), step.constant(2)
    if step.attribute("transA", 0):
        step.refuse("it transposes its input")
    scaled = step.attribute("alpha", 1.0) * weight.astype(np.float64)
    if bias is not None:
        bias = step.attribute("beta", 1.0) * bias.astype(np.float64)
    return _dense.dense(step, step.unpadded(0), scaled.T if step.attribute("transB", 0) else scaled, bias)


def execute(node: ir.Node, x: list[Tensor]) -> Tensor:
    """alpha · a · b + beta · c."""
    a = x[0].T if node.attributes.get_int("transA", 0) else x[0]
    b = x[1].T if node.attributes.get_int("transB", 0) else x[1]
    product = node.attributes.get_float("alpha", 1.0) * (a @ b)
    return product + node.attributes.get_float("beta", 1.0) * x[2] if len(x) > 2 else product


#: The version of FULLY_CONNECTED that weights with a scale per channel are written with. TensorFlow Lite has
#: none of its own for them: 2.9 takes such a file as version 4 and answers 0 for every class without an
#: error, 2.12 and newer are right. Version 10, which came with 2.13, is the first that no wrong one loads.
_PER_CHANNEL = 10


def lower(node: onnx.NodeProto, builder: Builder) -> None:
    """FULLY_CONNECTED, which flattens a [N, 1, 1, C] input by itself."""
    for name, only in (("alpha", 1.0), ("beta", 1.0), ("transA", 0)):
        if attribute(node, name, only) != only:
            raise GraphError(
                f"Gemm {node.name!r} has {name} other than {only}", mend=f"export it with {name} = {only}"
            )
    result = builder.result(node, node.input[:2])
    source = builder.operand(node.input[0], result)
    order = (0, 1) if attribute(node, "transB", 0) else (1, 0)
    weights, bias = _weights.weights_and_bias(node, builder, result, source, order)
    options = Options("FullyConnectedOptions", {"fusedActivationFunction": result.activation})
    version = None
    if source.type == "int8":
        scales = weights.quantization.scale.size if weights.quantization else 1
        version = 4 if scales == 1 else _PER_CHANNEL
    builder.add("FULLY_CONNECTED", [source, weights, bias], builder.produce(result), options, version=version)


OPERATORS = (Operator("Gemm", translate=translate, execute=execute, traits=Traits(layer=True), lower=lower),)

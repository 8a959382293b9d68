"""The layers with weights, and what of their inputs is quantised."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx

from edgeeff.backends.tensorrt.lint.view import View

OPERATORS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True)
class Layer:
    """A convolution or matrix product with constant weights, and the DQs behind its two inputs, if any.

    ``output_axis`` is the axis of the weights that counts the outputs, as their DQ sees it; None where that
    cannot be told (weights transposed behind their DQ).
    """

    node: onnx.NodeProto
    activation: onnx.NodeProto | None
    weight: onnx.NodeProto | None
    output_axis: int | None


def layers(view: View) -> Iterator[Layer]:
    """Every layer with constant weights, in order. A product of two activations is none."""
    for node in view.nodes(*OPERATORS):
        if len(node.input) < 2:
            continue
        weight = view.dequantiser(node.input[1])
        if node.op_type in ("Conv", "ConvTranspose") or view.is_constant(node.input[1]):
            yield Layer(node, view.dequantiser(node.input[0]), weight, _output_axis(view, node))


def _output_axis(view: View, node: onnx.NodeProto) -> int | None:
    writer = view.producer.get(node.input[1])
    if writer is None or writer.op_type != "DequantizeLinear":
        return None
    if node.op_type == "Gemm":
        return 0 if any(a.name == "transB" and a.i for a in node.attribute) else 1
    return {"Conv": 0, "ConvTranspose": 1, "MatMul": -1}[node.op_type]

"""Fold what follows a convolution channel by channel into the convolution.

    x ─ Conv(W, b) ─ Sub(μ) ─ Mul(g) ─ Add(β) ─ y      ⇒      x ─ Conv(W·g, (b − μ)·g + β) ─ y

Keras and tf2onnx write batch normalisation so, and biases as an Add. A BatchNormalization that stands alone
is left to the pass of its own.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgeeff.graph.model import add_constant, constant, float32, remove

Vector = npt.NDArray[np.float64]


def fold(graph: ir.Graph) -> None:
    """Fold the chain after each convolution, as long as nothing else reads what is between."""
    for convolution in [node for node in graph if node.op_type == "Conv"]:
        chain: list[tuple[ir.Node, Vector, Vector]] = []
        value = convolution.outputs[0]
        while (found := next_affine(value)) is not None:
            chain.append(found)
            value = found[0].outputs[0]
        if not chain or [node.op_type for node, _, _ in chain] == ["BatchNormalization"]:
            continue
        weight, bias = (constant(operand) for operand in [*convolution.inputs[1:3], None][:2])
        assert weight is not None
        wide = weight.astype(np.float64)
        shift = np.zeros(len(wide)) if bias is None else bias.astype(np.float64)
        # In double precision, as in the pass: near-zero variances make scales large.
        for _, a, b in chain:
            wide, shift = wide * a.reshape(-1, 1, 1, 1), shift * a + b
        what = f"what is folded into {convolution.name!r}"
        convolution.resize_inputs(3)
        for index, array in ((1, wide), (2, shift)):
            name = f"{convolution.name}.folded.{index}"
            convolution.replace_input_with(index, add_constant(graph, name, float32(array, what)))
        for node, _, _ in chain:
            source = node.inputs[0]
            assert source is not None
            remove(node, source)


def next_affine(value: ir.Value) -> tuple[ir.Node, Vector, Vector] | None:
    """The only reader of a tensor, if it computes x·a + b for each channel; and a and b."""
    uses = value.uses()
    if len(uses) != 1 or value.is_graph_output():
        return None
    node = next(iter(value.consumers()))
    operands = [constant(operand) for operand in node.inputs[1:]]
    if node.op_type not in ("Mul", "Add", "BatchNormalization") or any(k is None for k in operands):
        return None
    first, *rest = (np.asarray(k, np.float64).reshape(-1) for k in operands)
    if node.op_type == "Mul":
        return node, first, np.zeros_like(first)
    if node.op_type == "Add":
        return node, np.ones_like(first), first
    beta, mean, variance = rest
    gain = first / np.sqrt(variance + node.attributes.get_float("epsilon", 1e-5))
    return node, gain, beta - mean * gain

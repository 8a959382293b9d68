"""Fold constants and drop what computes nothing, with onnxsim.

Batch normalisation is left to the pass of its own, so that one place holds its arithmetic.
"""

from __future__ import annotations

import onnx_ir as ir
import onnxsim
from onnx_ir.passes.common import (
    IdentityEliminationPass,
    LiftConstantsToInitializersPass,
    RemoveUnusedNodesPass,
)

from edgeeff.graph.model import to_bytes

REQUIRES: frozenset[str] = frozenset()
ENSURES = frozenset({"constants are initializers", "shapes are known"})


#: Weights of more values than this take no part: nothing is folded into them here.
_SMALL = 64


def rewrite(model: ir.Model) -> bool:
    """Replace the graph by its simplified equal."""
    weights = _set_aside(model)
    before = ir.to_proto(model)
    simplified, _ = onnxsim.simplify(before, check_n=0, perform_optimization=False, skip_fuse_bn=True)
    model.graph = ir.from_proto(simplified).graph
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    IdentityEliminationPass()(model)
    RemoveUnusedNodesPass()(model)
    changed: bool = to_bytes(model) != before.SerializeToString(deterministic=True)
    _put_back(model, weights)
    return changed


def _set_aside(model: ir.Model) -> dict[str, ir.TensorProtocol]:
    """Take the weights out, and leave inputs in their place: onnxsim would copy them half a dozen times."""
    weights: dict[str, ir.TensorProtocol] = {}
    for name, value in list(model.graph.initializers.items()):
        tensor = value.const_value
        if tensor is None or tensor.size <= _SMALL or value.is_graph_output():
            continue
        weights[name] = tensor
        value.shape, value.dtype = ir.Shape(tensor.shape.numpy()), tensor.dtype
        del model.graph.initializers[name]
        value.const_value = None
        if value not in model.graph.inputs:
            model.graph.inputs.append(value)
    return weights


def _put_back(model: ir.Model, weights: dict[str, ir.TensorProtocol]) -> None:
    for value in [value for value in model.graph.inputs if value.name in weights]:
        model.graph.inputs.remove(value)
        if value.uses():
            assert value.name is not None
            value.const_value = weights[value.name]
            model.graph.register_initializer(value)

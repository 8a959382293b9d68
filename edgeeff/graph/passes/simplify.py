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


def rewrite(model: ir.Model) -> bool:
    """Replace the graph by its simplified equal."""
    before = ir.to_proto(model)
    simplified, _ = onnxsim.simplify(before, check_n=0, perform_optimization=False, skip_fuse_bn=True)
    model.graph = ir.from_proto(simplified).graph
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    IdentityEliminationPass()(model)
    RemoveUnusedNodesPass()(model)
    changed: bool = to_bytes(model) != before.SerializeToString(deterministic=True)
    return changed

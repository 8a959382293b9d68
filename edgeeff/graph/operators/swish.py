"""Swish, x · σ(x): our own function in the base graph, and an operator of opset 24; never in a hub graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from edgeeff.graph.operators import Operator, Traits

if TYPE_CHECKING:
    from torch import Tensor


def execute(_: ir.Node, x: list[Tensor]) -> Tensor:
    """In one step."""
    from torch.nn import functional as F

    return F.silu(x[0])


OPERATORS = (Operator("Swish", execute=execute, traits=Traits(activation=True, lopsided=True)),)

"""Let the channels between a depthwise convolution and a pointwise one fill one scale evenly, exactly.

    x ─ Conv(D, b) ─ y ─ Conv(W)      ⇒      x ─ Conv(c·D, c·b) ─ c·y ─ Conv(W / c)

D is depthwise and nothing lies between it and W, as in the separable convolutions of a detector's pyramid
and heads: that is linear, so c may be any positive constant of each channel, and costs nothing. (Nagel et al.
2019, section 4.1.) D's codes stay the same, since each of its channels has a scale of its own. Convolutions
that several levels of the pyramid share keep their weights in common.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgeeff.calibration.statistics import Statistics
from edgeeff.graph.model import add_constant, constant
from edgeeff.quantization import sharing

F64 = npt.NDArray[np.float64]

SUFFIX = "_evened"


@dataclass(frozen=True)
class Pair:
    """A depthwise convolution and the pointwise one that alone reads it.

    Args:
        depthwise: The first.
        pointwise: The second.
    """

    depthwise: ir.Node
    pointwise: ir.Node

    @property
    def tensor(self) -> str:
        """What lies between them."""
        return str(self.depthwise.outputs[0].name)


def pairs(model: ir.Model) -> list[tuple[Pair, ...]]:
    """All pairs of a graph, in its order; those that share their weights together, with one factor."""
    found = {str(p.depthwise.name): p for node in model.graph if (p := _pair(node)) is not None}
    second = sharing.leaders(pair.pointwise for pair in found.values())
    together: dict[tuple[str, str], list[Pair]] = {}
    for group in sharing.groups(pair.depthwise for pair in found.values()):
        for node in group:
            pair = found[str(node.name)]
            key = str(group[0].name), second[str(pair.pointwise.name)]
            together.setdefault(key, []).append(pair)
    return [tuple(group) for group in together.values()]


def rewrite(
    model: ir.Model, statistics: Statistics, gain: Mapping[str, F64], factors: Mapping[str, F64]
) -> tuple[ir.Model, Statistics, Mapping[str, F64]]:
    """Scale the channels between some pairs; the arguments are left as they are.

    Args:
        model: The float graph.
        statistics: Of its tensors; carried along.
        gain: What the outputs make of noise on each channel (sensitivity.py); carried along.
        factors: c of each tensor between a pair, [C]; the same for pairs that share their weights.
    """
    model = model.clone()
    carried, gains = dict(statistics), dict(gain)
    made: dict[str, ir.Value] = {}
    for pair in (pair for group in pairs(model) for pair in group):
        factor = factors.get(pair.tensor)
        if factor is None:
            continue
        carried[pair.tensor] = statistics[pair.tensor].scaled(factor)
        if pair.tensor in gain:
            gains[pair.tensor] = gain[pair.tensor] / factor**2
        _scale(model.graph, pair.depthwise, 1, factor.reshape(-1, 1, 1, 1), made)
        _scale(model.graph, pair.depthwise, 2, factor, made)
        _scale(model.graph, pair.pointwise, 1, 1 / factor.reshape(1, -1, 1, 1), made)
    return model, carried, gains


def _scale(graph: ir.Graph, node: ir.Node, index: int, factor: F64, made: dict[str, ir.Value]) -> None:
    """Multiply a constant of a layer; one that several layers read is multiplied once for all of them."""
    value = node.inputs[index] if index < len(node.inputs) else None
    array = constant(value)
    if value is None or array is None:
        return
    name = str(value.name)
    if name not in made:
        scaled = (array.astype(np.float64) * factor).astype(np.float32)
        made[name] = add_constant(graph, f"{name}{SUFFIX}", scaled)
    node.replace_input_with(index, made[name])


def _pair(node: ir.Node) -> Pair | None:
    weight = constant(node.inputs[1]) if node.op_type == "Conv" else None
    if weight is None or node.attributes.get_int("group", 1) != len(weight) or weight.shape[1] != 1:
        return None
    uses = list(node.outputs[0].uses())
    if len(weight) < 2 or len(uses) != 1 or node.outputs[0].is_graph_output():
        return None
    reader, index = uses[0]
    if reader.op_type != "Conv" or index != 0 or reader.attributes.get_int("group", 1) != 1:
        return None
    return Pair(node, reader) if constant(reader.inputs[1]) is not None else None

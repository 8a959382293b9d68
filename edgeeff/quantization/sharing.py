"""Layers with one set of codes: their weights are the same but for a factor of each output channel.

A detector's heads run the same convolutions on every level of its pyramid, with a batch normalisation for
each level. Folded, it multiplies the weights of an output channel by a positive number, and with them the
channel's scale, which is the largest weight's: the codes stay what they were. So whatever rounds or moves
weights does it once for all levels, and an artifact can hold them once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from edgeeff.graph.model import FloatArray, constant
from edgeeff.quantization.roles import is_layer

#: Shares of the largest weight of a channel by which float32 may miss another level's: two roundings.
_TOLERANCE = 1e-5


def groups(nodes: Iterable[ir.Node]) -> list[tuple[ir.Node, ...]]:
    """The layers in groups of one set of codes each, in the order of the graph; most are alone."""
    found: dict[tuple[tuple[int, ...], bytes], list[tuple[FloatArray, list[ir.Node]]]] = {}
    every: list[list[ir.Node]] = []
    for node in nodes:
        if not is_layer(node):
            continue
        weight = constant(node.inputs[1])
        assert weight is not None
        shape = normalised(np.asarray(weight, np.float32))
        near = found.setdefault((shape.shape, np.sign(shape).astype(np.int8).tobytes()), [])
        for first, group in near:
            if node.op_type == "Conv" and np.abs(first - shape).max() <= _TOLERANCE:
                group.append(node)
                break
        else:
            near.append((shape, [node]))
            every.append(near[-1][1])
    return [tuple(group) for group in every]


def leaders(nodes: Iterable[ir.Node]) -> Mapping[str, str]:
    """For each layer by name the first one of its group."""
    return {str(node.name): str(group[0].name) for group in groups(nodes) for node in group}


def normalised(weight: FloatArray) -> FloatArray:
    """Weights by the largest of their output channel, of its magnitude 1; zeros stay zeros."""
    rows = weight.reshape(len(weight), -1)
    peak = np.abs(rows).max(axis=1, keepdims=True)
    return np.asarray((rows / np.where(peak > 0, peak, 1)).reshape(weight.shape), np.float32)


def ratios(weights: Sequence[FloatArray]) -> list[FloatArray]:
    """What the output channels of each of a group are multiples of, as multiples of the first one's, [C]."""
    peaks = [np.abs(weight.reshape(len(weight), -1)).max(axis=1) for weight in weights]
    return [np.where(peaks[0] > 0, peak / np.where(peaks[0] > 0, peaks[0], 1), 1) for peak in peaks]

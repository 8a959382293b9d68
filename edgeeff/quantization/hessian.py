"""H = Σ x xᵀ of what each layer reads, over the calibration images: what GPTQ rounds by.

x is the float graph's. Quantised to 8 bits it differs by noise, which adds s²/12 to H's diagonal: little
beside the floor that the diagonal gets anyway (gptq.py). So one H serves every scheme.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import onnx_ir as ir
import torch
from torch import Tensor
from torch.nn import functional as F

from edgeeff.graph import sections
from edgeeff.graph.model import constant, ints
from edgeeff.graph.side_by_side import side_by_side

#: Positions of an image that enter a sum at most: of a dense layer, and of a depthwise one, whose sums are
#: small and whose rows are many.
POSITIONS, DEPTHWISE_POSITIONS = 196, 36
#: Bytes of sums that are held at once; beyond it layers take turns, each turn one run over the images.
HELD = 512 << 20


def turns(layers: Iterable[ir.Node]) -> list[list[ir.Node]]:
    """The layers in groups whose sums fit into memory together; in their order."""
    groups: list[list[ir.Node]] = [[]]
    held = 0
    for node in layers:
        size = _bytes(node)
        if groups[-1] and held + size > HELD:
            groups.append([])
            held = 0
        groups[-1].append(node)
        held += size
    return [group for group in groups if group]


def collect(
    model: ir.Model,
    nodes: Sequence[ir.Node],
    sources: Mapping[str, str],
    batches: Iterable[Tensor],
    advance: Callable[[int], None] = lambda _: None,
) -> dict[str, Tensor]:
    """The sums of some layers, float64: [n, n] of a dense one, [C, k², k²] of a depthwise one.

    Args:
        model: The float graph.
        nodes: The layers.
        sources: The tensor that each layer reads.
        batches: Inputs of the graph, float32 [N, 3, H, W].
        advance: Told how many images were done.
    """
    readers: dict[str, list[ir.Node]] = {}
    for node in nodes:
        readers.setdefault(sources[str(node.name)], []).append(node)
    graph = sections.cut(model, readers)

    def reads() -> Iterator[tuple[ir.Node, Tensor]]:
        for images in batches:
            for name, value in graph.run(images.numpy()):
                yield from ((node, torch.from_numpy(value)) for node in readers[name])
            advance(len(images))

    sums: dict[str, Tensor] = {}
    for layer, found in side_by_side(lambda part: (str(part[0].name), _sum(*part)), reads()):
        if layer in sums:
            sums[layer].add_(found)
        else:
            sums[layer] = found.double()
    return sums


@torch.inference_mode()
def _sum(node: ir.Node, value: Tensor) -> Tensor:
    """H of one batch, float32."""
    if node.op_type == "Gemm":
        rows = value.flatten(1)
        return rows.T @ rows
    weight = constant(node.inputs[1])
    assert weight is not None
    height, width = weight.shape[2:]
    top, left, bottom, right = ints(node, "pads", [0, 0, 0, 0])
    strides = ints(node, "strides", [1, 1])
    padded = F.pad(value, (left, right, top, bottom)) if any((top, left, bottom, right)) else value
    patches = padded.unfold(2, height, strides[0]).unfold(3, width, strides[1])
    depthwise = node.attributes.get_int("group", 1) > 1
    every = _every(patches.shape[2] * patches.shape[3], DEPTHWISE_POSITIONS if depthwise else POSITIONS)
    patches = patches[:, :, ::every, ::every]  # a view until here: [N, C, positions…, k, k]
    if depthwise:
        rows = patches.permute(1, 0, 2, 3, 4, 5).reshape(patches.shape[1], -1, height * width)
        return torch.bmm(rows.transpose(1, 2), rows)
    rows = patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, patches.shape[1] * height * width)
    return rows.T @ rows


def _every(positions: int, wanted: int) -> int:
    """An odd stride along both sides, which does not fall on the same pixels of a pattern."""
    every = math.ceil(math.sqrt(positions / wanted))
    return every + 1 if every % 2 == 0 else every


def _bytes(node: ir.Node) -> int:
    weight = constant(node.inputs[1])
    assert weight is not None
    if node.op_type == "Gemm":
        return 8 * int(max(weight.shape)) ** 2
    taps = int(weight[0, 0].size)
    if node.attributes.get_int("group", 1) > 1:
        return 8 * len(weight) * taps**2
    return 8 * (int(weight.shape[1]) * taps) ** 2

"""H = Σ x xᵀ of what each layer reads, over the calibration images: what GPTQ rounds by."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import onnx_ir as ir
import torch
from torch import Tensor
from torch.nn import functional as F

from edgeeff.graph.execute import Program, Run
from edgeeff.graph.model import constant, ints
from edgeeff.graph.side_by_side import side_by_side
from edgeeff.quantization.plan import ActivationQuantization
from edgeeff.quantization.simulate import fake_quantise

#: Positions of an image that enter a sum at most: of a dense layer, and of a depthwise one, whose sums are
#: small and whose rows are many.
POSITIONS, DEPTHWISE_POSITIONS = 196, 36
#: Bytes of sums that are held at once; beyond it layers take turns, each turn one run over the images.
HELD = 512 << 20


def turns(model: ir.Model, layers: Iterable[str]) -> list[list[ir.Node]]:
    """The layers in groups whose sums fit into memory together."""
    groups: list[list[ir.Node]] = [[]]
    held = 0
    wanted = set(layers)
    for node in model.graph:
        if node.name not in wanted:
            continue
        size = _bytes(node)
        if groups[-1] and held + size > HELD:
            groups.append([])
            held = 0
        groups[-1].append(node)
        held += size
    return [group for group in groups if group]


def collect(
    program: Program,
    nodes: Sequence[ir.Node],
    sources: Mapping[str, str],
    activations: Mapping[str, ActivationQuantization],
    batches: Iterable[Tensor],
    advance: Callable[[int], None] = lambda _: None,
) -> dict[str, Tensor]:
    """The sums of some layers, float64: [n, n] of a dense one, [C, k², k²] of a depthwise one.

    Args:
        program: The float graph.
        nodes: The layers.
        sources: The tensor that each layer reads.
        activations: How these tensors are quantised: x is what the layer will read.
        batches: Inputs of the graph, float32 [N, 3, H, W].
        advance: Told how many images were done.
    """
    readers: dict[str, list[ir.Node]] = {}
    for node in nodes:
        readers.setdefault(sources[str(node.name)], []).append(node)

    @torch.inference_mode()
    def reads() -> Iterator[tuple[ir.Node, Tensor, ActivationQuantization]]:
        for images in batches:
            run = Run(program, {program.input: images}, dict(program.reads))
            name, value = program.input, images
            while run.at < len(program.steps):
                yield from ((node, value, activations[name]) for node in readers.get(name, ()))
                name, value = run.step()
            advance(len(images))

    sums: dict[str, Tensor] = {}
    for layer, found in side_by_side(lambda part: (str(part[0].name), _sum(*part)), reads()):
        sums[layer] = sums[layer] + found if layer in sums else found
    return sums


def _sum(node: ir.Node, value: Tensor, quantization: ActivationQuantization) -> Tensor:
    """H of one batch; only what enters it is quantised."""
    if node.op_type == "Gemm":
        rows = fake_quantise(value.flatten(1), quantization)
        return (rows.T @ rows).double()
    weight = constant(node.inputs[1])
    assert weight is not None
    height, width = weight.shape[2:]
    top, left, bottom, right = ints(node, "pads", [0, 0, 0, 0])
    strides = ints(node, "strides", [1, 1])
    padded = F.pad(value, (left, right, top, bottom))
    patches = padded.unfold(2, height, strides[0]).unfold(3, width, strides[1])
    depthwise = node.attributes.get_int("group", 1) > 1
    every = _every(patches.shape[2] * patches.shape[3], DEPTHWISE_POSITIONS if depthwise else POSITIONS)
    # A view until here: [N, C, positions…, k, k]. Padding is zero, and zero is a value of every quantiser.
    patches = fake_quantise(patches[:, :, ::every, ::every], quantization)
    if depthwise:
        rows = patches.permute(1, 0, 2, 3, 4, 5).reshape(patches.shape[1], -1, height * width)
        return torch.bmm(rows.transpose(1, 2), rows).double()
    rows = patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, patches.shape[1] * height * width)
    return (rows.T @ rows).double()


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

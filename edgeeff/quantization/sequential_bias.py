"""Sequential bias correction: take out of each layer's output what all rounding before it added to the mean.

Rounding noise has no mean of its own, but a clamp gives it one: where a channel lies below 0, as an edge
filter does on flat ground, ReLU6 cuts off the negative half of the noise and lets the positive half through.
The layers behind read that as a shift, which every position of the image has alike, so it does not average
out as noise does. A Lite2 loses more by it than by all of the noise that a first-order estimate sees.

The quantised graph runs over a few images, layer by layer, and each layer's bias is corrected by the means of
the float graph's output before the next layer runs (Nagel et al. 2019, appendix D). Only what images have in
common can be taken out: with m the mean over the images of a channel's shift and v its variance from image to
image, the correction is m·(1 − v/m²), and nothing where v is above m². The whole of m does harm where v is
large: it moves the images that had no shift, and the few that are looked at do not tell m well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor

from edgeeff.graph import sections
from edgeeff.graph.execute import Program, Reader, Run, prepare, rows
from edgeeff.graph.side_by_side import side_by_side
from edgeeff.quantization import simulate
from edgeeff.quantization.plan import LayerQuantization, Plan

#: Bytes of activations that the run over all images may hold at once.
HELD = 512 << 20


def correct(
    model: ir.Model, plan: Plan, batches: Iterable[Tensor], advance: Callable[[int], None] = lambda _: None
) -> dict[str, LayerQuantization]:
    """The plan's layers with corrected biases.

    Args:
        model: The float graph.
        plan: Which says how it is quantised.
        batches: Its input, float32 [N, C, H, W] each; all of them are under way at once (:func:`affordable`).
        advance: Told how many layers were done.
    """
    layers = dict(plan.layers)
    read = simulate.reader(plan)
    program = prepare(model)
    made = {str(node.outputs[0].name): str(node.name) for node, _ in program.steps if node.name in layers}
    runs, means = [], []
    graph = sections.cut(model, made)
    for images in batches:
        means.append({made[name]: _means(torch.from_numpy(v)) for name, v in graph.run(images.numpy())})
        own = images.contiguous(memory_format=torch.channels_last)  # of which torch's kernels are the faster
        runs.append(Run(program, {program.input: own}, dict(program.reads)))
    del graph
    for at, (node, _) in enumerate(program.steps):
        name = str(node.name)
        if name not in layers:
            continue
        rounded = side_by_side(partial(_until, read, at), runs)
        shifts = torch.cat([found - exact[name] for found, exact in zip(rounded, means, strict=True)])
        correction = _common(shifts)
        layer = layers[name]
        bias = np.asarray(layer.bias.astype(np.float64) - correction.numpy(), np.float32)
        layers[name] = replace(layer, bias=bias)
        for run in runs:
            _take_out(run, str(node.outputs[0].name), correction)
        advance(1)
    return layers


def affordable(program: Program, images: int, fewest: int = 4) -> int:
    """So many of the images, at most, as fit into :data:`HELD` bytes; ``fewest`` at least."""
    sizes = {
        str(node.outputs[0].name): np.prod(node.outputs[0].shape.numpy(), dtype=np.int64)
        for node, _ in program.steps
        if node.outputs[0].shape is not None and node.outputs[0].shape.is_static()
    }
    left, alive, most = dict(program.reads), 0, 1
    for node, _ in program.steps:
        alive += int(sizes.get(str(node.outputs[0].name), 0))
        most = max(most, alive)
        for value in node.inputs:
            name = "" if value is None else str(value.name)
            left[name] = left.get(name, 0) - 1
            if left[name] == 0:
                alive -= int(sizes.get(name, 0))
    return min(images, max(HELD // (4 * most), fewest))


@torch.inference_mode()
def _until(read: Reader, layer: int, run: Run) -> Tensor:
    """Take a run up to and with a layer; the mean of each image's channels there, float64 [N, C]."""
    while True:
        _, value = run.step(read)
        if run.at > layer:
            return _means(value)


def _means(value: Tensor) -> Tensor:
    """The mean of each image's channels, float64 [N, C]."""
    return (value.mean((2, 3)) if value.dim() == 4 else rows(value).mean(2)).double()


def _common(shifts: Tensor) -> Tensor:
    """What the images' shifts [N, C] have in common, [C]; nothing where one image alone was looked at."""
    if len(shifts) < 2:
        return torch.zeros_like(shifts[0])
    mean, variance = shifts.mean(0), shifts.var(0)
    return mean * (1 - variance / mean.square().clamp_min(1e-300)).clamp_min(0)


@torch.inference_mode()
def _take_out(run: Run, name: str, correction: Tensor) -> None:
    """Correct a layer's output that is read later, as the corrected bias would have."""
    value = run.alive.get(name)
    if value is not None:
        run.alive[name] = value - correction.to(value.dtype).reshape(1, -1, *[1] * (value.dim() - 2))

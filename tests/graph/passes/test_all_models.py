"""Every pass, on every network of the zoo, computes what the graph before it computed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from edgeeff.graph import passes
from edgeeff.graph.execute import execute, prepare
from edgeeff.graph.export import onnx_from_torch
from edgeeff.zoo import catalog

SIZE = 64
TOLERANCE = 1e-4
#: One of each kind of block and activation; the others are in the slow tier.
OFTEN = ("b0", "lite0", "edgetpu-s", "v2-b0", "v2-s")
NEW_OPERATORS = {
    "fold_batch_norm": set(),
    "fold_padding": set(),
    "fuse_swish": {"Swish"},
    "name_layers": set(),
}


def relative_error(found, expected):
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def compute(graph, x, run_onnx):
    """The interpreter is several times faster, where the graph is made of operators that it knows."""
    if {"Pad", "Constant", "Identity"} & {node.op_type for node in graph.graph}:
        return run_onnx(graph, x)
    return execute(prepare(graph), torch.from_numpy(x)).numpy()


def every_model():
    """All of the zoo; the larger at a fraction of their channels too, and whole in the slow tier alone.

    Networks of more than 64 blocks are also made half as deep: random weights make chaos of a longer chain.
    """
    for spec in catalog.classifiers():
        name = spec.name
        if spec.parameters() < 16e6:
            yield pytest.param(spec, id=name, marks=() if name in OFTEN else pytest.mark.slow)
            continue
        deep = len(spec.architecture.blocks) > 64
        thin = replace(
            spec,
            width=spec.width * (9e6 / spec.parameters()) ** 0.5,
            depth=spec.depth / 2 if deep else spec.depth,
        )
        yield pytest.param(thin, id=f"{name}-thin", marks=() if name in OFTEN else pytest.mark.slow)
        if not deep:
            yield pytest.param(spec, id=name, marks=pytest.mark.slow)


@pytest.mark.parametrize("spec", list(every_model()))
def test_each_pass_alone_keeps_the_function(spec, make_module, make_images, run_onnx):
    module = make_module(spec)
    x = spec.preprocess((SIZE, SIZE)).normalise(make_images(2, SIZE, 5))
    graph = onnx_from_torch(module, (SIZE, SIZE))
    before = compute(graph, x, run_onnx)
    with torch.inference_mode():
        assert relative_error(before, module(torch.from_numpy(x)).numpy()) <= TOLERANCE
    assert np.abs(before[0] - before[1]).max() > 0.01 * np.abs(before).max()  # the image does matter

    operators = {node.op_type for node in graph.graph}
    for step in passes.order(passes.discover()):
        changed = step.rewrite(graph)
        left = {node.op_type for node in graph.graph}
        if step.name in NEW_OPERATORS:
            assert left - operators <= NEW_OPERATORS[step.name]
        operators = left
        if not changed:
            continue
        after = compute(graph, x, run_onnx)
        assert relative_error(after, before) <= TOLERANCE, step.name
        before = after

    counts = Counter(node.op_type for node in graph.graph)
    blocks = spec.architecture.blocks
    residual = sum(block.residual for block in blocks)
    expanded = sum(block.expands for block in blocks)
    depthwise = sum(block.kind == "mbconv" for block in blocks)
    whole = sum(block.kind == "conv" for block in blocks)
    squeezed = sum(block.squeezed > 0 for block in blocks)
    # Stem, head, and one projection in each block, beside its other convolutions; squeeze-excite has two.
    convolutions = 2 + len(blocks) + expanded + depthwise + 2 * squeezed
    activated = 2 + expanded + depthwise + whole + squeezed
    activation = {"swish": "Swish", "relu6": "Clip", "relu": "Relu"}[spec.activation]
    expected = {"Conv": convolutions, activation: activated, "Add": residual, "Flatten": 1, "Gemm": 1}
    gates = {"Sigmoid": squeezed, "Mul": squeezed} if squeezed else {}
    assert counts == {**expected, **gates, "GlobalAveragePool": 1 + squeezed}
    names = [node.name for node in graph.graph]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("name", "count"), [("lite0", 94), ("b0", 190)])
def test_number_of_nodes(name, count, networks):
    assert len(networks[name].graph.graph) == count


def test_layers_bear_the_names_of_the_networks_modules(make_module, b0):
    modules = {name.removesuffix(".conv") for name, _ in make_module("b0").named_modules()}
    layers = {node.name for node in b0.graph.graph if node.op_type in ("Conv", "Gemm")}
    strangers = {
        layer for layer in layers if layer not in modules and layer.removesuffix(".conv") not in modules
    }
    assert not strangers
    assert all(node.outputs[0].name in (node.name, "logits") for node in b0.graph.graph)

from __future__ import annotations

from collections import Counter

import numpy as np

from edgeeff.graph.model import to_bytes
from edgeeff.quantization.rewrites import swish_steps


def test_each_swish_is_written_out_exactly(b0, run_onnx):
    before = to_bytes(b0.graph)
    stepped = swish_steps.rewrite(b0.graph)
    assert to_bytes(b0.graph) == before
    counts = Counter(node.op_type for node in stepped.graph)
    assert (counts["Swish"], counts["Sigmoid"], counts["Mul"]) == (0, 49 + 16, 49 + 16)
    assert not stepped.functions
    x = b0.preprocess.normalise(b0.images[:2])
    np.testing.assert_array_equal(run_onnx(stepped, x), run_onnx(b0.graph, x))


def test_tensors_keep_the_names_that_statistics_are_keyed_by(b0):
    stepped = swish_steps.rewrite(b0.graph)
    old = {node.outputs[0].name for node in b0.graph.graph}
    new = {node.outputs[0].name for node in stepped.graph}
    assert old <= new
    assert len(new) == len(list(stepped.graph))
    assert len(new - old) == 49
    assert all(node.outputs[0].shape is not None for node in stepped.graph)


def test_a_graph_without_swish_stays(lite0):
    assert to_bytes(swish_steps.rewrite(lite0.graph)) == to_bytes(lite0.graph)


def test_swish_as_the_graphs_output(graph_of, x, run_onnx):
    from edgeeff.graph.passes import fuse_swish

    model = graph_of("s = Sigmoid (x) y = Mul (x, s)")
    fuse_swish.rewrite(model)
    stepped = swish_steps.rewrite(model)
    assert stepped.graph.outputs[0].name == "y"
    np.testing.assert_array_equal(run_onnx(stepped, x), run_onnx(model, x))

from __future__ import annotations

import numpy as np

from edgeeff.graph.passes import simplify


def operators(model):
    return [node.op_type for node in model.graph]


def test_constants_are_folded_and_lifted(graph_of, x, run_onnx):
    values, shape = "<value_floats = [1.0, 2.0, 3.0, 4.0]>", "<value_ints = [1, 4, 1, 1]>"
    body = (
        f"a = Constant {values} () s = Constant {shape} () b = Reshape (a, s) c = Add (x, b) y = Identity (c)"
    )
    model = graph_of(body)
    before = run_onnx(model, x)
    assert simplify.rewrite(model)
    assert operators(model) == ["Add"]
    np.testing.assert_array_equal(run_onnx(model, x), before)


def test_batch_normalisation_is_left_to_its_own_pass(graph_of, weights):
    v = np.ones(4, np.float32)
    model = graph_of("c = Conv (x, w) y = BatchNormalization (c, v, v, v, v)", w=weights(4, 4, 1, 1), v=v)
    simplify.rewrite(model)
    assert operators(model) == ["Conv", "BatchNormalization"]


def test_what_nothing_reads_goes(graph_of):
    model = graph_of("z = Relu (x) y = Sigmoid (x)")
    assert simplify.rewrite(model)
    assert operators(model) == ["Sigmoid"]


def test_shapes_are_known_afterwards(graph_of):
    model = graph_of("a = GlobalAveragePool (x) y = Flatten (a)")
    simplify.rewrite(model)
    assert [list(node.outputs[0].shape) for node in model.graph] == [[1, 4, 1, 1], [1, 4]]

from __future__ import annotations

import numpy as np

from edgeeff.graph.passes import name_layers


def named(graph_of, body, names, **constants):
    model = graph_of(body, **constants)
    for node, name in zip(model.graph, names, strict=True):
        node.name = name
    return model


def test_layers_bear_their_modules_name(graph_of, weights, x, run_onnx):
    body = "c = Conv (x, w, b) d = Relu (c) y = Conv (d, w2)"
    names = ["/blocks/blocks.3/project/Conv", "/blocks/blocks.3/Relu", "/head/Conv"]
    model = named(graph_of, body, names, w=weights(4, 4, 1, 1), b=weights(4), w2=weights(2, 4, 1, 1))
    before = run_onnx(model, x)
    assert name_layers.rewrite(model)
    assert [node.name for node in model.graph] == ["blocks.3.project", "blocks.3.relu", "head"]
    assert [node.outputs[0].name for node in model.graph] == ["blocks.3.project", "blocks.3.relu", "y"]
    assert set(model.graph.initializers) == {
        "blocks.3.project.weight",
        "blocks.3.project.bias",
        "head.weight",
    }
    np.testing.assert_array_equal(run_onnx(model, x), before)


def test_names_are_unique_even_where_a_number_is_taken(graph_of, x, run_onnx):
    body = "a = Conv (x, w) b = Conv (a, w) c = Conv (b, w) d = Relu (c) e = Relu (d) y = Relu (e)"
    names = ["/a/Conv", "/a/Conv_1", "/a/1/Conv", "", "", "/a/Relu"]
    model = named(graph_of, body, names, w=np.ones((4, 4, 1, 1), np.float32))
    name_layers.rewrite(model)
    assert [node.name for node in model.graph] == ["a", "a.1", "a.1.1", "relu", "relu.1", "a.relu"]
    values = [node.outputs[0].name for node in model.graph]
    assert len(set(values)) == len(values)
    run_onnx(model, x)


def test_a_tensor_does_not_take_the_name_of_an_input_or_output(graph_of, x, run_onnx):
    body = "a = Conv (x, w) b = Conv (a, w) y = Relu (b)"
    model = named(graph_of, body, ["/x/Conv", "/y/Conv", "/z/Relu"], w=np.ones((4, 4, 1, 1), np.float32))
    before = run_onnx(model, x)
    name_layers.rewrite(model)
    names = [v.name for v in [*model.graph.inputs, *(n.outputs[0] for n in model.graph)]]
    assert len(set(names)) == len(names)
    np.testing.assert_array_equal(run_onnx(model, x), before)


def test_shared_weights_keep_their_name(graph_of):
    body = "a = Conv (x, w) y = Conv (a, w)"
    model = named(graph_of, body, ["/a/Conv", "/b/Conv"], w=np.ones((4, 4, 1, 1), np.float32))
    name_layers.rewrite(model)
    assert set(model.graph.initializers) == {"w"}

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest

from edgeeff.graph.model import expand_functions, from_bytes, to_bytes
from edgeeff.graph.passes import fuse_swish


def operators(model):
    return [node.op_type for node in model.graph]


@pytest.mark.parametrize("body", ["s = Sigmoid (x) y = Mul (x, s)", "s = Sigmoid (x) y = Mul (s, x)"])
def test_one_node_either_way_round(body, graph_of, x, run_onnx):
    model = graph_of(body)
    before = run_onnx(model, x)
    assert fuse_swish.rewrite(model)
    assert operators(model) == ["Swish"]
    assert model.graph.outputs[0].name == "y"
    np.testing.assert_array_equal(run_onnx(model, x), before)


def test_swish_of_swish(graph_of, x, run_onnx):
    model = graph_of("s = Sigmoid (x) a = Mul (x, s) t = Sigmoid (a) y = Mul (a, t)")
    before = run_onnx(model, x)
    assert fuse_swish.rewrite(model)
    assert operators(model) == ["Swish", "Swish"]
    np.testing.assert_array_equal(run_onnx(model, x), before)


@pytest.mark.parametrize(
    "body",
    [
        "s = Sigmoid (x) m = Mul (x, s) y = Add (m, s)",  # σ(x) is read twice
        "r = Relu (x) s = Sigmoid (r) y = Mul (x, s)",  # a gate of another tensor
        "s = Sigmoid (x) y = Mul (s, s)",
        "s = Sigmoid (x) t = Sigmoid (s) y = Mul (x, t)",
        "s = Sigmoid (x) y = Add (x, s)",
        "s = Tanh (x) y = Mul (x, s)",
    ],
)
def test_leaves_others_alone(body, graph_of):
    model = graph_of(body)
    before = operators(model)
    assert not fuse_swish.rewrite(model)
    assert operators(model) == before
    assert not model.functions


def test_leaves_a_gate_that_is_an_output_alone(graph_of):
    model = graph_of("s = Sigmoid (x) y = Mul (x, s)")
    model.graph.outputs.append(next(iter(model.graph)).outputs[0])
    assert not fuse_swish.rewrite(model)


def test_gates_of_squeeze_excite_stay(b0):
    counts = Counter(operators(b0.graph))
    assert (counts["Swish"], counts["Sigmoid"], counts["Mul"]) == (49, 16, 16)
    for node in b0.graph.graph:
        if node.op_type == "Mul":
            producers = {value.producer().op_type for value in node.inputs}
            assert producers == {"Sigmoid", "Swish"}
            assert node.inputs[0].producer().inputs[0] is not node.inputs[1]
            assert node.inputs[1].producer().inputs[0] is not node.inputs[0]


def test_any_runtime_can_expand_it(b0, run_onnx):
    standard = expand_functions(b0.graph)
    onnx.checker.check_model(standard, full_check=True)
    assert not standard.functions
    assert {entry.domain for entry in standard.opset_import} <= {"", "edgeeff"}
    assert {node.domain for node in standard.graph.node} == {""}
    x = b0.preprocess.normalise(b0.images[:1])
    np.testing.assert_array_equal(run_onnx(standard, x), run_onnx(b0.graph, x))


def test_survives_a_file(b0):
    data = to_bytes(b0.graph)
    assert to_bytes(from_bytes(data)) == data

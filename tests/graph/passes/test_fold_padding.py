from __future__ import annotations

import numpy as np
import pytest

from edgeeff.graph.model import ints
from edgeeff.graph.passes import fold_padding

SAME = np.array([0, 0, 0, 0, 0, 0, 1, 1], np.int64)


def operators(model):
    return [node.op_type for node in model.graph]


@pytest.mark.parametrize("zero", [True, False])
def test_asymmetric_zero_padding_becomes_an_attribute(zero, graph_of, weights, x, run_onnx):
    call = "Pad (x, a, zero)" if zero else "Pad (x, a)"
    extra = {"zero": np.float32(0)} if zero else {}
    model = graph_of(f"p = {call} y = Conv <strides = [2, 2]> (p, w)", w=weights(4, 4, 3, 3), a=SAME, **extra)
    before = run_onnx(model, x)
    assert fold_padding.rewrite(model)
    assert operators(model) == ["Conv"]
    assert ints(next(iter(model.graph)), "pads", []) == [0, 0, 1, 1]
    assert set(model.graph.initializers) == {"w"}
    np.testing.assert_allclose(run_onnx(model, x), before, rtol=1e-5, atol=1e-5)


def test_adds_to_the_padding_that_is_there(graph_of, weights, x, run_onnx):
    a = np.array([0, 0, 3, 1, 0, 0, 0, 2], np.int64)
    model = graph_of("p = Pad (x, a) y = Conv <pads = [1, 2, 3, 4]> (p, w)", w=weights(4, 4, 3, 3), a=a)
    before = run_onnx(model, x)
    assert fold_padding.rewrite(model)
    assert ints(next(iter(model.graph)), "pads", []) == [4, 3, 3, 6]
    np.testing.assert_allclose(run_onnx(model, x), before, rtol=1e-5, atol=1e-5)


def test_padding_shared_by_two_convolutions(graph_of, weights, x, run_onnx):
    body = "p = Pad (x, a) c = Conv (p, w) d = Conv (p, w) y = Mul (c, d)"
    model = graph_of(body, w=weights(4, 4, 3, 3), a=SAME)
    before = run_onnx(model, x)
    assert fold_padding.rewrite(model)
    assert operators(model) == ["Conv", "Conv", "Mul"]
    np.testing.assert_allclose(run_onnx(model, x), before, rtol=1e-5, atol=1e-5)


CONV = "y = Conv (p, w)"
POOL = "y = MaxPool <kernel_shape = [3, 3], strides = [2, 2]> (p)"


def test_a_maximum_takes_padding_of_no_value(graph_of, x, run_onnx):
    model = graph_of(f"p = Pad (x, a, low) {POOL}", a=SAME, low=np.float32("-inf"))
    below_zero = -np.abs(x) - 1
    before = run_onnx(model, below_zero)
    assert fold_padding.rewrite(model)
    assert operators(model) == ["MaxPool"]
    np.testing.assert_array_equal(run_onnx(model, below_zero), before)


@pytest.mark.parametrize(
    "body",
    [
        f"p = Pad (x, a) {POOL}",  # zeros are values, and may be the largest
        f"p = Pad (x, a, low) {CONV}",
        "p = Pad (x, a, low) y = MaxPool <kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1> (p)",
    ],
)
def test_leaves_padding_that_its_reader_does_not_pad_with(body, graph_of, weights):
    model = graph_of(body, w=weights(4, 4, 3, 3), a=SAME, low=np.float32("-inf"))
    assert not fold_padding.rewrite(model)


@pytest.mark.parametrize(
    ("body", "constants"),
    [
        (f"p = Pad (x, a, v) {CONV}", {"a": SAME, "v": np.float32(1)}),
        (f'p = Pad <mode = "reflect"> (x, a) {CONV}', {"a": SAME}),
        (f'p = Pad <mode = "edge"> (x, a) {CONV}', {"a": SAME}),
        (f"p = Pad (x, a) {CONV}", {"a": np.array([0, 0, 0, 0, 1, 0, 1, 1], np.int64)}),  # the batch
        (f"p = Pad (x, a) {CONV}", {"a": np.array([0, 0, 1, 1, 0, 0, -1, 1], np.int64)}),  # a crop
        (f"p = Pad (x, a) {CONV} z = Relu (p)", {"a": SAME}),  # something else reads it
        ("p = Pad (x, a) y = Relu (p)", {"a": SAME}),
        ('p = Pad (x, a) y = Conv <auto_pad = "SAME_UPPER"> (p, w)', {"a": SAME}),
        (f"b = Mul (a, two) p = Pad (x, b) {CONV}", {"a": SAME, "two": np.int64(2)}),  # amounts are computed
        ("p = Pad (w, a) y = Conv (x, p)", {"a": SAME}),  # it pads the weights
    ],
)
def test_leaves_others_alone(body, constants, graph_of, weights):
    model = graph_of(body, w=weights(4, 4, 3, 3), **constants)
    before = operators(model)
    assert not fold_padding.rewrite(model)
    assert operators(model) == before


def test_leaves_a_padding_that_is_an_output_alone(graph_of, weights):
    model = graph_of(f"p = Pad (x, a) {CONV}", w=weights(4, 4, 3, 3), a=SAME)
    model.graph.outputs.append(next(iter(model.graph)).outputs[0])
    assert not fold_padding.rewrite(model)
    assert operators(model) == ["Pad", "Conv"]

from __future__ import annotations

import numpy as np
import pytest

from edgeeff.graph import expectations
from edgeeff.graph.model import constant
from edgeeff.graph.passes import fold_batch_norm

NORM = "<epsilon = 0.001> (c, g, b, m, v)"


@pytest.fixture
def norm():
    random = np.random.default_rng(0)
    return {
        "g": random.normal(1, 0.3, 4).astype(np.float32),
        "b": random.normal(0, 1, 4).astype(np.float32),
        "m": random.normal(0, 1, 4).astype(np.float32),
        "v": np.array([1e-6, 0.1, 1, 9], np.float32),
    }


def operators(model):
    return [node.op_type for node in model.graph]


@pytest.mark.parametrize("bias", [True, False])
def test_folds_weights_and_bias(bias, graph_of, weights, norm, x, run_onnx):
    offset = {"o": weights(4)} if bias else {}
    call = "Conv (x, w, o)" if bias else "Conv (x, w)"
    model = graph_of(f"c = {call} y = BatchNormalization {NORM}", w=weights(4, 4, 3, 3), **offset, **norm)
    before = run_onnx(model, x)
    assert fold_batch_norm.rewrite(model)
    assert operators(model) == ["Conv"]
    assert len(model.graph.initializers) == 2
    np.testing.assert_allclose(run_onnx(model, x), before, rtol=1e-4, atol=1e-5 * np.abs(before).max())


def test_near_zero_variance_is_folded_in_double_precision(graph_of, weights, norm):
    w = weights(4, 4, 1, 1)
    model = graph_of(f"c = Conv (x, w) y = BatchNormalization {NORM}", w=w, **norm)
    fold_batch_norm.rewrite(model)
    exact = {k: v.astype(np.float64) for k, v in norm.items()}
    gain = exact["g"] / np.sqrt(exact["v"] + np.float64(np.float32(0.001)))
    folded = constant(next(iter(model.graph)).inputs[1])
    np.testing.assert_array_equal(folded, (w * gain.reshape(-1, 1, 1, 1)).astype(np.float32))


def test_depthwise(graph_of, weights, norm, x, run_onnx):
    model = graph_of(
        f"c = Conv <group = 4> (x, w) y = BatchNormalization {NORM}", w=weights(4, 1, 3, 3), **norm
    )
    before = run_onnx(model, x)
    assert fold_batch_norm.rewrite(model)
    np.testing.assert_allclose(run_onnx(model, x), before, rtol=1e-4, atol=1e-5 * np.abs(before).max())


def test_two_layers_that_share_weights_get_their_own(graph_of, weights, norm, x, run_onnx):
    first = f"c = Conv (x, w) n = BatchNormalization {NORM}"
    body = f"{first} d = Conv (n, w) y = BatchNormalization <epsilon = 0.001> (d, g, b, m, v)"
    model = graph_of(body, w=weights(4, 4, 1, 1), **norm)
    before = run_onnx(model, x)
    assert fold_batch_norm.rewrite(model)
    assert operators(model) == ["Conv", "Conv"]
    np.testing.assert_allclose(run_onnx(model, x), before, rtol=1e-4, atol=1e-5 * np.abs(before).max())


@pytest.mark.parametrize(
    "body",
    [
        f"c = Conv (x, w) n = BatchNormalization {NORM} y = Add (n, c)",  # the convolution is read twice
        f"c = Relu (x) y = BatchNormalization {NORM}",  # no convolution before it
        f"k = Mul (w, two) c = Conv (x, k) y = BatchNormalization {NORM}",  # weights that are computed
        f"c = Conv (x, w) h = Mul (g, two) y = BatchNormalization {NORM.replace('g', 'h', 1)}",
    ],
)
def test_leaves_others_alone(body, graph_of, weights, norm):
    model = graph_of(body, w=weights(4, 4, 1, 1), two=np.float32(2), **norm)
    before = operators(model)
    assert not fold_batch_norm.rewrite(model)
    assert operators(model) == before


def test_leaves_a_convolution_that_is_an_output_alone(graph_of, weights, norm):
    model = graph_of(f"c = Conv (x, w) y = BatchNormalization {NORM}", w=weights(4, 4, 1, 1), **norm)
    model.graph.outputs.append(next(iter(model.graph)).outputs[0])
    assert not fold_batch_norm.rewrite(model)
    assert operators(model) == ["Conv", "BatchNormalization"]


def test_what_the_network_expects_is_written_down(graph_of, weights, run_onnx):
    """Over inputs that batch normalisation was fitted to, the output has the mean and deviation recorded."""
    random = np.random.default_rng(7)
    w, images = weights(4, 4, 1, 1), random.normal(1, 3, (200, 4, 8, 8)).astype(np.float32)
    before = np.einsum("oi,nihw->nohw", w[:, :, 0, 0], images)
    norm = {
        "g": np.array([1.5, -0.5, 0.0, 2], np.float32),
        "b": np.array([0, 1, -2, 3], np.float32),
        "m": before.mean((0, 2, 3)),
        "v": before.var((0, 2, 3)),
    }
    model = graph_of(f"c = Conv (x, w) y = BatchNormalization {NORM}", w=w, **norm)
    fold_batch_norm.rewrite(model)
    (expected,) = expectations.read(model).values()
    found = run_onnx(model, images)
    np.testing.assert_allclose(expected.mean, found.mean((0, 2, 3)), atol=1e-4)
    np.testing.assert_allclose(expected.std, found.std((0, 2, 3)), rtol=1e-4, atol=1e-6)


def test_a_convolution_without_batch_normalisation_expects_nothing(graph_of, weights):
    model = graph_of("y = Conv (x, w)", w=weights(4, 4, 1, 1))
    fold_batch_norm.rewrite(model)
    assert expectations.read(model) == {}


def test_a_convolution_shared_by_levels_is_folded_for_each_on_its_own(graph_of, weights, norm, x, run_onnx):
    body = """
        a = Conv (x, w)
        c = Conv (a, k, o)
        d = BatchNormalization <epsilon = 0.001> (c, g, b, m, v)
        small = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x)
        e = Conv (small, w)
        f = Conv (e, k, o)
        h = BatchNormalization <epsilon = 0.001> (f, b, g, m, v)
        i = GlobalAveragePool (h)
        y = Mul (d, i)
    """
    model = graph_of(body, w=weights(4, 4, 3, 3), k=weights(4, 4, 1, 1), o=weights(4), **norm)
    before = run_onnx(model, x)
    assert fold_batch_norm.rewrite(model)
    convolutions = [node for node in model.graph if node.op_type == "Conv"]
    kernels = [node.inputs[1].name for node in convolutions]
    assert kernels[0] == kernels[2] == "w" and len({*kernels}) == 3, "one is shared, two are scaled"
    np.testing.assert_allclose(run_onnx(model, x), before, rtol=1e-4, atol=1e-4 * np.abs(before).max())

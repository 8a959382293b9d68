from __future__ import annotations

import numpy as np
import pytest

from edgeeff.calibration.collect import collect
from edgeeff.errors import GraphError
from edgeeff.graph.model import to_bytes
from edgeeff.preprocess import Preprocess
from edgeeff.quantization.rewrites import fold_preprocessing
from edgeeff.quantization.rewrites.fold_preprocessing import CENTRED, MEAN

NETWORKS = ["lite0", "b0"]


def raw(pixels):
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2).astype(np.float32))


@pytest.mark.parametrize("name", NETWORKS)
def test_raw_pixels_give_what_normalised_ones_gave(name, networks, run_onnx):
    n = networks[name]
    before = to_bytes(n.graph)
    folded, _ = fold_preprocessing.rewrite(n.graph, n.statistics, n.preprocess)
    assert to_bytes(n.graph) == before
    # A bright image shows what a mean in the bias would do at the padded borders.
    images = np.concatenate([n.images[:3], np.full_like(n.images[:1], 255)])
    expected = run_onnx(n.graph, n.preprocess.normalise(images))
    found = run_onnx(folded, raw(images))
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("name", NETWORKS)
def test_exact_along_padded_borders(name, networks, run_onnx):
    n = networks[name]
    stem = next(node for node in n.graph.graph if node.op_type == "Conv").outputs[0].name
    folded, _ = fold_preprocessing.rewrite(n.graph, n.statistics, n.preprocess)
    outputs = []
    for graph in (n.graph.clone(), folded):
        value = next(node.outputs[0] for node in graph.graph if node.outputs[0].name == stem)
        graph.graph.outputs[0] = value
        outputs.append(graph)
    expected = run_onnx(outputs[0], n.preprocess.normalise(n.images[:2]))
    found = run_onnx(outputs[1], raw(n.images[:2]))
    assert expected.shape[2:] == (32, 32)
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", NETWORKS)
def test_statistics_carried_along_are_those_of_the_new_graph(name, networks):
    n = networks[name]
    folded, carried = fold_preprocessing.rewrite(n.graph, n.statistics, n.preprocess)
    assert set(carried) == set(n.statistics) - {"input"} | {CENTRED}
    unchanged = Preprocess(n.preprocess.size, mean=(0.0,) * 3, std=(1.0,) * 3)
    measured = collect(folded, unchanged, [n.images])
    assert set(measured) == set(carried) | {"input"}
    for tensor, found in carried.items():
        expected = measured[tensor]
        bound = max(abs(expected.low), abs(expected.high))
        for field in ("minimum", "maximum", "mean"):
            np.testing.assert_allclose(
                getattr(found, field), getattr(expected, field), rtol=1e-3, atol=1e-4 * bound, err_msg=tensor
            )
        np.testing.assert_allclose(found.second_moment, expected.second_moment, rtol=1e-3)
        assert found.count == expected.count


def test_what_the_graph_is_made_of(b0, lite0):
    for n in (b0, lite0):
        folded, _ = fold_preprocessing.rewrite(n.graph, n.statistics, n.preprocess)
        assert len(folded.graph) == len(n.graph.graph) + 1
        first = next(iter(folded.graph))
        assert (first.op_type, first.outputs[0].name, first.inputs[1].name) == ("Sub", CENTRED, MEAN)
        np.testing.assert_array_equal(
            first.inputs[1].const_value.numpy().ravel(), np.array(n.preprocess.mean, np.float32)
        )


def test_one_mean_is_the_zero_point_and_three_are_an_operator(quantized):
    plan, _ = quantized("lite0", "tflite", raw=True)
    found = plan.activations[CENTRED]
    assert (found.scale, found.zero_point) == (1.0, -1)
    assert "input" not in plan.activations and MEAN not in plan.activations
    plan, _ = quantized("b0", "tflite", raw=True)
    assert (plan.activations["input"].scale, plan.activations["input"].zero_point) == (1.0, -128)
    assert {MEAN, CENTRED} <= set(plan.activations)


@pytest.mark.parametrize("name", NETWORKS)
def test_quantised_from_raw_pixels_is_as_good(name, quantized, networks, run_onnx):
    n = networks[name]
    reference = run_onnx(n.graph, n.preprocess.normalise(n.images))
    errors = [
        np.abs(run_onnx(quantized(name, "tflite", raw=is_raw)[1], x) - reference).mean()
        for is_raw, x in ((False, n.preprocess.normalise(n.images)), (True, raw(n.images)))
    ]
    assert errors[1] < 2 * errors[0]


def test_an_input_that_is_read_by_something_else_is_refused(graph_of):
    model = graph_of("y = Relu (x)")
    with pytest.raises(GraphError, match="read by Relu, not by one convolution"):
        fold_preprocessing.rewrite(model, {}, Preprocess((8, 8), (1.0,) * 3, (1.0,) * 3))

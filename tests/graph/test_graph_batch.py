"""A graph of another batch computes of each image what it computed, or is refused."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import parser

from edgeeff.batch import ONE, Batch
from edgeeff.errors import GraphError
from edgeeff.graph.batch import SYMBOL, of_graph, with_batch
from edgeeff.graph.model import expand_functions

RESHAPED = """
    pooled = GlobalAveragePool(x)
    sizes = Constant<value = int64[2] {1, 4}>()
    flat = Reshape(pooled, sizes)
    back_sizes = Constant<value = int64[4] {1, -1, 1, 1}>()
    back = Reshape<allowzero = 1>(flat, back_sizes)
    y = Mul(x, back)
"""
RESIZED = """
    none = Constant<value = float[0] {}>()
    sizes = Constant<value = int64[4] {1, 4, 12, 16}>()
    y = Resize<mode = "linear">(x, none, none, sizes)
"""


@pytest.mark.parametrize(("name", "batch"), [("b0", Batch(3)), ("lite0", Batch(8, True))])
def test_each_image_gives_what_it_gave(networks, name, batch, run_onnx):
    network = networks[name]
    graph = expand_functions(network.graph)
    assert with_batch(graph, ONE) is graph
    changed = with_batch(graph, batch)
    onnx.checker.check_model(changed, full_check=True)
    for value in (*changed.graph.input, *changed.graph.output, *changed.graph.value_info):
        first = value.type.tensor_type.shape.dim[0]
        assert first.dim_param == (SYMBOL if batch.dynamic else "")
        assert first.dim_value == (0 if batch.dynamic else 3)
    images = network.preprocess.normalise(network.images[:3])
    expected = run_onnx(graph, images)
    np.testing.assert_allclose(_run(changed, images), expected, atol=1e-5)
    swapped = _run(changed, images[[1, 0, 2]])
    np.testing.assert_allclose(swapped, expected[[1, 0, 2]], atol=1e-5)
    back = with_batch(changed, ONE)
    assert of_graph(back) == ONE
    np.testing.assert_array_equal(run_onnx(back, images), expected)


#: Five rows of three, which the nearest scale in float32 makes four of; and seven columns of four.
UPWARD = """
    none = Constant<value = float[0] {}>()
    small = MaxPool<kernel_shape = [6, 5], strides = [1, 1]>(x)
    sizes = Constant<value = int64[4] {1, 4, 5, 7}>()
    y = Resize<mode = "nearest", nearest_mode = "floor", coordinate_transformation_mode = "asymmetric">(
        small, none, none, sizes)
"""
POOLED = """
    small = MaxPool<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>(x)
    halves = Constant<value = int64[2] {1, 3}>()
    a, b = Split<axis = 1>(small, halves)
    joined = Concat<axis = 1>(b, a)
    zero = Constant<value = float {0.0}>()
    border = Constant<value = int64[8] {0, 0, 1, 1, 0, 0, 2, 1}>()
    wide = Pad(joined, border, zero)
    average = AveragePool<kernel_shape = [2, 2], ceil_mode = 1, strides = [2, 2]>(wide)
    begin = Constant<value = int64[3] {1, 0, 0}>()
    end = Constant<value = int64[3] {3, 3, 2}>()
    axes = Constant<value = int64[3] {1, 2, 3}>()
    cut = Slice(average, begin, end, axes)
    last = Transpose<perm = [0, 2, 3, 1]>(cut)
    mean = ReduceMean<axes = [1, 2], keepdims = 0>(last)
    length = ReduceL2<axes = [1], keepdims = 1>(mean)
    y = Div(mean, length)
"""


@pytest.mark.parametrize("body", [RESHAPED, RESIZED, UPWARD, POOLED])
@pytest.mark.parametrize("batch", [Batch(2), Batch(4, True)])
def test_sizes_that_name_the_batch_follow_it(body, batch, graph_of):
    graph = ir.to_proto(graph_of(body))
    images = np.random.default_rng(0).standard_normal((2, 4, 8, 8), np.float32)
    expected = np.concatenate([_run(graph, image[None]) for image in images])
    found = _run(with_batch(graph, batch), images)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("operator", "body"),
    [
        ("Reshape", "sizes = Constant<value = int64[2] {4, 64}>() y = Reshape(x, sizes)"),
        ("Flatten", "y = Flatten<axis = 2>(x)"),
        ("Transpose", "y = Transpose<perm = [1, 0, 2, 3]>(x)"),
        ("Softmax", "y = Softmax<axis = 0>(x)"),
        ("Softmax", "y = Softmax<axis = -4>(x)"),
        ("ReduceMean", "y = ReduceMean<axes = [0], keepdims = 1>(x)"),
        ("ReduceSum", "y = ReduceSum<keepdims = 1>(x)"),
        ("Concat", "y = Concat<axis = 0>(x, x)"),
        ("Squeeze", "axes = Constant<value = int64[1] {0}>() y = Squeeze(x, axes)"),
    ],
)
# Four images in a graph of four channels: a transposed shape is the shape that it should have.
@pytest.mark.parametrize("batch", [Batch(4), Batch(4, True)])
def test_a_graph_that_mixes_its_images_is_refused(operator, body, batch, graph_of):
    graph = ir.to_proto(graph_of(body))
    with pytest.raises(GraphError, match=operator) as refusal:
        with_batch(graph, batch)
    assert "--batch 1" in refusal.value.mend


def test_a_constant_for_each_image_of_a_run_is_refused():
    text = """<ir_version: 8, opset_import: ["" : 17]> agraph (float[2, 1] x) => (float[2, 1] y)
        <float[2, 1] each = {1, 2}> { y = Add(x, each) }"""
    with pytest.raises(GraphError, match="Add"):
        with_batch(parser.parse_model(text), ONE)


def _run(graph: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    """All images in one run."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options)
    return session.run(None, {session.get_inputs()[0].name: images})[0]

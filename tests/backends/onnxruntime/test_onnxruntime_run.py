from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeeff.backends import output_places
from edgeeff.backends.onnxruntime.run import load, session_of
from edgeeff.errors import BundleError
from edgeeff.graph.model import expand_functions
from edgeeff.preprocess import Preprocess
from edgeeff.quantization.rewrites import fold_preprocessing
from edgeeff.tasks import only


def test_normalises_for_a_float_input_and_not_for_a_raw_one(b0, run_onnx):
    images = b0.images[:3]
    graph = expand_functions(b0.graph)
    expected = run_onnx(graph, b0.preprocess.normalise(images))
    found = only(session_of(graph.SerializeToString(), b0.preprocess).infer(images))
    assert found.shape == (3, 10) and found.dtype == np.float32
    tolerance = 1e-4 * np.abs(expected).max()
    np.testing.assert_allclose(found, expected, atol=tolerance)
    raw, _ = fold_preprocessing.rewrite(b0.graph, b0.statistics, b0.preprocess)
    session = session_of(expand_functions(raw).SerializeToString(), b0.preprocess, "uint8")
    assert session.prepare(images[:1]).dtype == np.float32
    np.testing.assert_allclose(only(session.infer(images)), expected, atol=tolerance)


def test_literal_computes_the_graph_as_it_is_written(b0, run_onnx):
    data = expand_functions(b0.graph).SerializeToString()
    found = only(session_of(data, b0.preprocess, literal=True).infer(b0.images[:2]))
    np.testing.assert_array_equal(found, run_onnx(b0.graph, b0.preprocess.normalise(b0.images[:2])))


def test_a_bundles_graph(lite0, tmp_path):
    data = expand_functions(lite0.graph).SerializeToString()
    (tmp_path / "model.onnx").write_bytes(data)
    facts = {"preprocess": lite0.preprocess, "input_type": "float32", "properties": {}}
    expected = only(session_of(data, lite0.preprocess).infer(lite0.images[:1]))
    np.testing.assert_array_equal(only(load(tmp_path, **facts).infer(lite0.images[:1])), expected)


def test_outputs_have_their_places_by_name():
    held = [{"b", "also_b"}, {"a"}]
    assert output_places(held, ["a", "b"], Path("x")) == {"a": 1, "b": 0}
    assert output_places([set()], [], Path("x")) == {"output": 0}
    for wanted in ([], ["c"], ["a", "c"]):
        with pytest.raises(BundleError, match="x has the outputs also_b, a; the manifest names"):
            output_places(held, wanted, Path("x"))


def test_zeros_before_a_max_pool_stay_values():
    """onnxruntime itself folds them into the pool, as if they were of no value."""
    pads = numpy_helper.from_array(np.array([0, 0, 0, 0, 0, 0, 1, 1]), "pads")
    bias = numpy_helper.from_array(np.full(1, -9, np.float32), "bias")
    kernel = numpy_helper.from_array(np.ones((1, 3, 1, 1), np.float32), "kernel")
    nodes = [
        helper.make_node("Conv", ["x", "kernel", "bias"], ["below"]),
        helper.make_node("Pad", ["below", "pads"], ["around"]),
        helper.make_node("MaxPool", ["around"], ["y"], kernel_shape=[3, 3], strides=[2, 2]),
    ]
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 4, 4])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 2, 2])
    graph = helper.make_graph(nodes, "pool", [image], [made], [pads, bias, kernel])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    black = np.zeros((1, 4, 4, 3), np.uint8)
    preprocess = Preprocess(size=(4, 4), mean=(0.0,) * 3, std=(255.0,) * 3)
    found = only(session_of(model.SerializeToString(), preprocess).infer(black))
    np.testing.assert_array_equal(found[0, 0], [[-9, 0], [0, 0]])

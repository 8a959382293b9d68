from __future__ import annotations

import numpy as np
import pytest

from edgeeff import digests
from edgeeff.errors import GraphError, MissingFileError
from edgeeff.graph.model import add_constant, constant, drop_unused_constants, load_graph, to_bytes


def test_reads_what_was_written(graph_of, tmp_path):
    data = to_bytes(graph_of("y = Relu (x)"))
    (tmp_path / "model.onnx").write_bytes(data)
    assert [node.op_type for node in load_graph(tmp_path / "model.onnx").graph.node] == ["Relu"]


@pytest.mark.parametrize("content", [b"", b"not a model", bytes(range(256)) * 8])
def test_what_is_no_model_is_refused(content, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(GraphError, match=r"model\.onnx is not a valid ONNX model: ."):
        load_graph(path)


def test_truncated_file_is_refused(b0, tmp_path):
    data = to_bytes(b0.graph)
    path = tmp_path / "model.onnx"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(GraphError, match="not a valid ONNX model"):
        load_graph(path)


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(MissingFileError, match="no file"):
        load_graph(tmp_path / "model.onnx")
    with pytest.raises(MissingFileError):
        load_graph(tmp_path)


def test_constants(graph_of, weights):
    model = graph_of(
        "c = Constant <value_floats = [1.0, 2.0, 3.0, 4.0]> () y = Conv (x, w)", w=weights(4, 4, 1, 1)
    )
    first, second = model.graph
    np.testing.assert_array_equal(constant(first.outputs[0]), [1, 2, 3, 4])
    np.testing.assert_array_equal(constant(second.inputs[1]), weights(4, 4, 1, 1))
    assert constant(second.inputs[0]) is None
    assert constant(None) is None


def test_added_constants_are_replaced_and_dropped(graph_of):
    model = graph_of("y = Relu (x)")
    add_constant(model.graph, "k", np.zeros(3, np.float32))
    value = add_constant(model.graph, "k", np.ones((2, 2), np.int8))
    assert list(model.graph.initializers) == ["k"]
    assert (list(value.shape), str(value.dtype)) == ([2, 2], "INT8")
    drop_unused_constants(model)
    assert not model.graph.initializers


def test_digest_is_sha256():
    assert digests.of_bytes(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

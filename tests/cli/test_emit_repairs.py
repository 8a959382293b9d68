"""``edgeeff emit`` says what it repaired, and what it cannot."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper


@pytest.fixture
def uint8_graph(lite0_bundles, tmp_path):
    """``uint8_graph(zero)``: Lite0's hub graph with every activation in uint8 around this zero point."""

    def make(zero):
        model = onnx.load(lite0_bundles / "lite0-jetson-int8" / "model.qdq.onnx")
        weights = {t.name for t in model.graph.initializer}
        points = {
            node.input[2]
            for node in model.graph.node
            if node.op_type.endswith("Linear") and node.input[0] not in weights
        }
        for tensor in model.graph.initializer:
            if tensor.name in points:
                shape = numpy_helper.to_array(tensor).shape
                tensor.CopyFrom(numpy_helper.from_array(np.full(shape, zero, np.uint8), tensor.name))
        del model.graph.value_info[:]
        onnx.save(model, tmp_path / "net.onnx")
        return tmp_path / "net.onnx"

    return make


def test_repairs_are_told(edgeeff, uint8_graph, tmp_path):
    arguments = ("emit", uint8_graph(128), "--target=jetson-int8", "--model=lite0", f"--output={tmp_path}")
    result = edgeeff(*arguments)
    assert result.status == 0, result.err
    first, second, *_ = result.out.splitlines()
    assert first.startswith("repaired: ") and first.endswith("became int8 around 0: each code 128 less")
    assert second.strip() == "onnxruntime's outputs before and after: the same to the bit"
    data = edgeeff(*arguments, "--json").data
    assert data["repairs"] == [first.removeprefix("repaired: ")] and data["repaired"]["sqnr_db"] == "inf"


def test_what_cannot_be_repaired_is_refused(refused, uint8_graph):
    error = refused("emit", uint8_graph(0), "--target=jetson-int8", "--model=lite0", "--output=out")
    assert "uint8 with zero point 0" in error and "ActivationSymmetric" in error and "--plan" in error

"""Graphs that ``edgeeff emit`` refuses."""

from __future__ import annotations

import onnx
import pytest
from onnx import TensorProto, helper


def qdq(operator: str, domain: str = "") -> onnx.ModelProto:
    """A graph [1, 3, 8, 8] → [1, 3] with one operator of that name before the pool."""
    nodes = [
        helper.make_node(operator, ["input"], ["x"], name="odd", domain=domain),
        helper.make_node("GlobalAveragePool", ["x"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["logits"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 3])],
    )
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.mark.parametrize(
    ("operator", "domain", "target"), [("Erf", "", "cpu-int8"), ("Fancy", "com.example", "mobile-int8")]
)
def test_emit_of_an_operator_that_no_backend_knows(operator, domain, target, refused, tmp_path):
    (tmp_path / "odd.onnx").write_bytes(qdq(operator, domain).SerializeToString())
    error = refused("emit", "odd.onnx", f"--target={target}", "--model=lite0", "--output=out")
    assert "odd.onnx" in error and operator in error and "'odd'" in error and "QuantizeLinear" in error


def test_emit_of_what_is_no_graph(refused, tmp_path):
    arguments = ("--target=cpu-int8", "--model=lite0", "--output=out")
    assert "gone.onnx" in refused("emit", "gone.onnx", *arguments)
    assert "no file gone.onnx" in refused("emit", "gone.onnx", "--target=cpu-int8")  # not: no mean is named
    assert "is a folder" in refused("emit", str(tmp_path), "--target=cpu-int8")  # not: no mean is named
    (tmp_path / "short.onnx").write_bytes(qdq("Relu").SerializeToString()[:-20])
    assert "short.onnx is not a valid ONNX model" in refused("emit", "short.onnx", *arguments)
    (tmp_path / "graph.onnx").write_bytes(qdq("Relu").SerializeToString())
    assert "float target" in refused("emit", "graph.onnx", "--target=cpu-fp32", "--model=lite0")
    assert "--mean" in refused("emit", "graph.onnx", "--target=cpu-int8")
    assert "--mean has 2 values" in refused(
        *("emit", "graph.onnx", "--target=cpu-int8", "--mean=1,2", "--std=1")
    )


def test_emit_with_images_that_are_corrupt(refused, corrupt_image, lite0_bundles):
    graph = lite0_bundles / "lite0-jetson-int8" / "model.qdq.onnx"
    arguments = ("--target=cpu-int8", "--model=lite0", "--output=out", "--images", corrupt_image)
    assert "1 of 1 images cannot be decoded" in refused("emit", graph, *arguments)

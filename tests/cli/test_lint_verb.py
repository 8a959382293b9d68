"""``edgeeff lint``, on files and on bundles."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser


@pytest.fixture(scope="module")
def make_graph(tmp_path_factory):
    """``make_graph(zero)``: a convolution of quantised weights and input, around this zero point."""

    def make(zero):
        model = parser.parse_model(
            """
            <ir_version: 8, opset_import: ["" : 17]> net (float[1, 3, 32, 32] x) => (float[1, 8, 32, 32] y) {
                q = QuantizeLinear (x, s, z)
                d = DequantizeLinear (q, s, z)
                w = DequantizeLinear (w8, s, w0)
                y = Conv <kernel_shape = [1, 1]> (d, w)
            }
            """
        )
        constants = {"s": np.float32(0.1), "z": zero, "w8": np.ones((8, 3, 1, 1), np.int8), "w0": np.int8(0)}
        for name, value in constants.items():
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        for node in model.graph.node:
            node.name = f"the {node.op_type}"
        path = tmp_path_factory.mktemp("graphs") / "net.onnx"
        onnx.save(model, path)
        return path

    return make


@pytest.fixture(scope="module")
def good(make_graph):
    return make_graph(np.int8(0))


@pytest.fixture(scope="module")
def bad(make_graph):
    return make_graph(np.int8(-3))


def test_a_clean_graph(edgeeff, good):
    result = edgeeff("lint", good, "--tensorrt=10.3", "--tensorrt=8.6", "--strict")
    assert result.status == 0 and result.err == ""
    assert result.out.splitlines() == [
        f"{good}: TensorRT 10.3, 8.6",
        "  keeps all the rules",
        "",
        "0 errors, 0 warnings",
    ]


def test_a_bad_graph(edgeeff, bad, tmp_path):
    result = edgeeff("lint", bad, "--tensorrt=10.3", "--sarif", tmp_path / "net.sarif")
    assert result.status == 1 and result.err == ""
    assert "zero-point-value" in result.out and "the QuantizeLinear: " in result.out and "-3" in result.out
    assert "  why:  " in result.out and "  mend: " in result.out
    assert result.out.splitlines()[-1] == "2 errors, 0 warnings"
    (run,) = json.loads((tmp_path / "net.sarif").read_text(encoding="utf-8"))["runs"]
    assert [entry["level"] for entry in run["results"]] == ["error", "error"]


def test_json_has_every_finding(edgeeff, bad):
    result = edgeeff("lint", bad, "--json")
    assert result.status == 1
    (graph,) = result.data["graphs"]
    assert graph["graph"] == str(bad) and {"8.5", "10.3", "11.4"} <= set(graph["versions"])
    errors = [finding for finding in graph["findings"] if finding["severity"] == "error"]
    assert len(errors) == result.data["errors"] > 0
    assert errors[0].keys() == {"rule", "name", "severity", "node", "message", "mend", "versions"}
    assert set(errors[0]["versions"]) <= set(graph["versions"])


def test_a_bundle_is_held_against_the_versions_that_build_each_graph(edgeeff, lite0_bundles):
    folder = lite0_bundles / "lite0-jetson-int8"
    result = edgeeff("lint", folder, "--json")
    assert result.status == 0, result.out
    held = {graph["graph"]: graph["versions"] for graph in result.data["graphs"]}
    assert held[str(folder / "model.qdq.onnx")] == ["8.5", "8.6", "10.3"]
    assert held[str(folder / "model.qdq.fp16.onnx")] == ["10.13", "10.16", "11.4"]
    old = edgeeff("lint", folder, "--tensorrt=8.5", "--json")
    assert str(folder / "model.qdq.fp16.onnx") not in {graph["graph"] for graph in old.data["graphs"]}


def test_strict_makes_warnings_count(edgeeff, make_graph, tmp_path):
    model = onnx.load(make_graph(np.int8(0)))
    for node in model.graph.node:  # logits that are quantised
        for names in (node.input, node.output):
            names[:] = ["c" if name == "y" else name for name in names]
    model.graph.node.append(onnx.helper.make_node("QuantizeLinear", ["c", "s", "z"], ["cq"], "last Q"))
    model.graph.node.append(onnx.helper.make_node("DequantizeLinear", ["cq", "s", "z"], ["y"], "last DQ"))
    onnx.save(model, tmp_path / "net.onnx")
    arguments = ("lint", tmp_path / "net.onnx", "--tensorrt=10.3")
    assert edgeeff(*arguments).out.splitlines()[-1] == "0 errors, 1 warning"
    assert edgeeff(*arguments).status == 0 and edgeeff(*arguments, "--strict").status == 1


def test_bad_input_is_refused(refused, good, tmp_path, lite0_bundles):
    assert "gone.onnx" in refused("lint", "gone.onnx")
    (tmp_path / "text.onnx").write_text("not a graph at all, and long enough to be taken for one\n")
    assert "text.onnx is not a valid ONNX model" in refused("lint", "text.onnx")
    (tmp_path / "empty.onnx").write_bytes(b"")
    assert "empty.onnx" in refused("lint", "empty.onnx")
    assert "7.2" in refused("lint", good, "--tensorrt=7.2")
    assert "no ONNX graph" in refused("lint", lite0_bundles / "lite0-cpu-int8")
    assert "tmp" not in refused("lint", tmp_path).split(" → ")[1]


def test_weights_that_are_missing_are_refused(refused, good, tmp_path):
    model = onnx.load(good)
    onnx.save(model, tmp_path / "net.onnx", save_as_external_data=True, location="net.data", size_threshold=0)
    (tmp_path / "net.data").unlink()
    assert "net.data" in refused("lint", "net.onnx")

"""XNNPACK takes all of a network in one piece, and the check says so where it does not."""

from __future__ import annotations

import onnx
import pytest

from edgeeff.backends.tflite.check import check
from edgeeff.backends.tflite.emit import emit

NETWORKS = ["lite", "asymmetric", "odd_padding", "swish_se"]


@pytest.fixture
def report(tmp_path):
    def make(example, input_type="float32", *, graph=None, softmax=False, **properties):
        graph = example.hub if graph is None else graph
        for name, content in emit(graph, example.emission(input_type, softmax=softmax)).items():
            (tmp_path / name).write_bytes(content)
        return check(tmp_path, properties=properties)

    return make


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("input_type", "outside"), [("float32", 0), ("int8", 0), ("uint8", 2)])
def test_one_delegate_node_holds_everything(examples, report, name, input_type, outside):
    found = report(examples(name), input_type)
    assert found.status == "ok" and not found.fallbacks
    assert found.counts["delegate_nodes"] == 1
    assert found.counts["outside"] == outside
    assert found.counts["float32_operators"] == 0
    assert {layer.operator for layer in found.layers if layer.kernel == "builtin"} <= {"QUANTIZE"}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_float_model_is_one_delegate_node(examples, report, name):
    found = report(examples(name), graph=examples(name).float_graph)
    assert found.status == "ok"
    assert (found.counts["delegate_nodes"], found.counts["outside"], found.counts["int8_operators"]) == (
        1,
        0,
        0,
    )


@pytest.mark.parametrize(("input_type", "outside"), [("float32", 0), ("int8", 1), ("uint8", 3)])
def test_softmax_is_delegated_in_float_and_harmless_in_int8(examples, report, input_type, outside):
    found = report(examples("lite"), input_type, softmax=True)
    assert found.status == "ok"
    assert (found.counts["delegate_nodes"], found.counts["outside"]) == (1, outside)


def test_a_clamp_that_could_not_be_fused_is_named(examples, report):
    """A quantised tensor between the convolution and its clamp: XNNPACK has no int8 RELU6."""
    example = examples("lite")
    graph = onnx.ModelProto()
    graph.CopyFrom(example.hub)
    nodes = list(graph.graph.node)
    clip = next(node for node in nodes if node.op_type == "Clip")
    (pair,) = (node for node in nodes if node.op_type == "QuantizeLinear" and node.input[0] == clip.output[0])
    codes = onnx.helper.make_node(
        "QuantizeLinear", [clip.input[0], *pair.input[1:]], ["extra.codes"], "extra.codes"
    )
    real = onnx.helper.make_node(
        "DequantizeLinear", ["extra.codes", *pair.input[1:]], ["extra.real"], "extra.real"
    )
    position = nodes.index(clip)
    clip.input[0] = "extra.real"
    graph.graph.node.insert(position, codes)
    graph.graph.node.insert(position + 1, real)
    found = report(example, graph=onnx.shape_inference.infer_shapes(graph))
    assert found.status == "fallback"
    assert found.fallbacks == [f"RELU6 {clip.output[0]}"]
    assert "RELU6" in found.summary
    assert found.counts["delegate_nodes"] == 2


def test_builtin_kernels_are_no_fallback_where_asked_for(examples, report):
    found = report(examples("lite"), delegate="none")
    assert found.status == "ok" and found.counts["delegate_nodes"] == 0
    assert found.counts["outside"] == found.counts["operators"]

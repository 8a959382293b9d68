from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeeff.backends import Emission
from edgeeff.backends.onnxruntime.run import session_of
from edgeeff.backends.tensorrt.emit import emit
from edgeeff.backends.tensorrt.fp16 import SMALLEST, fp16_from_fp32
from edgeeff.backends.tensorrt.graphs import versions_of
from edgeeff.backends.tensorrt.lint import lint
from edgeeff.backends.tensorrt.repair import repair
from edgeeff.backends.tensorrt_rtx.emit import emit as emit_rtx
from edgeeff.errors import GraphError, OptionError
from edgeeff.metrics import sqnr
from edgeeff.preprocess import Preprocess
from edgeeff.target import load_target

FP32, FP16 = "model.qdq.onnx", "model.qdq.fp16.onnx"


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def constants(content: bytes) -> dict[str, np.ndarray]:
    return {c.name: numpy_helper.to_array(c) for c in onnx.load_from_string(content).graph.initializer}


def with_input(emission: Emission, input_type: str, **changes: object) -> Emission:
    return replace(emission, target=replace(emission.target, input=input_type, **changes))


def test_both_graphs_are_valid_and_of_their_opsets(hub, emission):
    files = emit(hub, emission)
    assert {name for name in files if "/" not in name} == {
        *(FP32, FP16, "build_engine.py", "verify.py", "labels.txt")
    }
    for name, opset in ((FP32, 17), (FP16, 19)):
        model = onnx.load_from_string(files[name])
        onnx.checker.check_model(model, full_check=True)
        assert [(o.domain, o.version) for o in model.opset_import] == [("", opset)]
        said = session_of(files[name], emission.preprocess).session.get_modelmeta().custom_metadata_map
        assert (said["task"], json.loads(said["names"])) == ("classification", emission.labels)
        assert Preprocess.from_json(json.loads(said["preprocess"])) == emission.preprocess
        assert json.loads(said["input"])["type"] == "float32"
    assert files["labels.txt"].decode().splitlines() == emission.labels


def test_both_graphs_compute_what_the_hub_computes(hub, emission, run_onnx, unseen):
    files = emit(hub, emission)
    expected = run_onnx(hub, unseen)[0]
    assert np.array_equal(run_onnx(files[FP32], unseen)[0], expected)
    half = run_onnx(files[FP16], unseen)[0]
    assert half.dtype == np.float32
    assert cosine(half, expected) > 0.999


def test_weights_and_scales_are_those_of_the_hub(hub, emission):
    files = emit(hub, emission)
    full, half = constants(files[FP32]), constants(files[FP16])
    assert full.keys() == half.keys() == {c.name for c in hub.graph.initializer}
    for name, value in full.items():
        if value.dtype == np.int8:
            assert np.array_equal(half[name], value), name
        else:
            assert half[name].dtype == np.float16
            assert np.array_equal(half[name], value.astype(np.float16)), name


def test_nothing_but_the_edges_is_float32_in_the_fp16_graph(hub, emission):
    graph = onnx.load_from_string(emit(hub, emission)[FP16]).graph
    inside = {v.type.tensor_type.elem_type for v in graph.value_info}
    assert inside == {TensorProto.FLOAT16, TensorProto.INT8}
    assert [v.type.tensor_type.elem_type for v in (*graph.input, *graph.output)] == [TensorProto.FLOAT] * 2
    assert [n.op_type for n in graph.node].count("Cast") == 2


def test_the_bytes_are_the_same_each_time(hub, emission):
    assert emit(hub, emission) == emit(onnx.load_from_string(hub.SerializeToString()), emission)


def test_the_hub_is_left_as_it_was(hub, emission):
    before = hub.SerializeToString(deterministic=True)
    emit(hub, replace(with_input(emission, "uint8"), softmax=True))
    assert hub.SerializeToString(deterministic=True) == before


def test_uint8_input_takes_raw_pixels(lite_hub, emission, run_onnx):
    files = emit(lite_hub, with_input(emission, "uint8"))
    pixels = np.random.default_rng(3).integers(0, 3, (2, 3, 32, 32), dtype=np.uint8)
    expected = run_onnx(lite_hub, pixels.astype(np.float32))[0]
    for name in (FP32, FP16):
        graph = onnx.load_from_string(files[name]).graph
        assert graph.input[0].type.tensor_type.elem_type == TensorProto.UINT8
        assert graph.node[0].op_type == "Cast"
        assert cosine(run_onnx(files[name], pixels)[0], expected) > 0.999


def test_softmax_ends_in_probabilities(lite_hub, emission, run_onnx, unseen):
    files = emit(lite_hub, replace(emission, softmax=True))
    for name in (FP32, FP16):
        assert onnx.load_from_string(files[name]).graph.output[0].name == "probabilities"
        assert np.allclose(run_onnx(files[name], unseen)[0].sum(axis=1), 1, atol=2e-3)


def test_labels_that_do_not_exclude_each_other_end_in_sigmoids(lite_hub, emission, run_onnx, unseen):
    logits = run_onnx(lite_hub, unseen)[0]
    files = emit(lite_hub, replace(emission, softmax=True, task="multilabel"))
    for name in (FP32, FP16):
        nodes = [node.op_type for node in onnx.load_from_string(files[name]).graph.node]
        assert "Sigmoid" in nodes and "Softmax" not in nodes
        assert np.allclose(run_onnx(files[name], unseen)[0], 1 / (1 + np.exp(-logits)), atol=2e-2)


def test_without_labels_there_is_no_labels_file(lite_hub, emission):
    assert "labels.txt" not in emit(lite_hub, replace(emission, labels=()))


@pytest.mark.parametrize("changes", [{"input": "int8"}, {"precision": "fp32"}])
@pytest.mark.parametrize("write", [emit, emit_rtx])
def test_targets_that_tensorrt_does_not_take(lite_hub, emission, changes, write):
    with pytest.raises(OptionError, match="TensorRT bundles are INT8 or FP16"):
        write(lite_hub, replace(emission, target=replace(emission.target, **changes)))


@pytest.mark.parametrize("input_type", ["float32", "uint8"])
def test_an_int8_bundle_carries_the_float_network_it_has_to_beat(
    lite_hub, lite_float, emission, run_onnx, unseen, input_type
):
    given = replace(with_input(emission, input_type), float_graph=lambda: lite_float)
    files = emit(lite_hub, given)
    images = unseen if input_type == "float32" else np.full((2, 3, 32, 32), 7, np.uint8)
    expected = run_onnx(lite_float, images.astype(np.float32))[0]
    assert np.array_equal(run_onnx(files["model.float.onnx"], images)[0], expected)
    assert cosine(run_onnx(files["model.float.fp16.onnx"], images)[0], expected) > 0.9999
    for name, opset in (("model.float.onnx", 17), ("model.float.fp16.onnx", 19)):
        model = onnx.load_from_string(files[name])
        assert model.opset_import[0].version == opset
        assert not {n.op_type for n in model.graph.node} & {"QuantizeLinear", "DequantizeLinear"}
    assert files.keys() - emit(lite_hub, emission).keys() == {"model.float.onnx", "model.float.fp16.onnx"}


def test_an_fp16_bundle_carries_that_network_and_no_other(lite_float, emission):
    made = replace(emission, target=load_target("jetson-fp16"), float_graph=pytest.fail)
    assert sorted(n for n in emit(lite_float, made) if n.startswith("model.")) == [
        *("model.float.fp16.onnx", "model.float.onnx")
    ]


@pytest.mark.parametrize("target", ["rtx-int8", "rtx-fp16"])
def test_tensorrt_rtx_gets_the_strongly_typed_graph_of_the_same_bytes(lite_hub, lite_float, emission, target):
    for_rtx = replace(emission, target=load_target(target))
    graph, name = (lite_hub, FP16) if target == "rtx-int8" else (lite_float, "model.float.fp16.onnx")
    files = emit_rtx(graph, for_rtx)
    assert sorted(files) == ["labels.txt", name]
    assert files[name] == emit(graph, for_rtx)[name]


def test_a_hub_of_another_scheme_is_refused_by_name_of_the_rule(lite_hub, emission):
    hub = onnx.load_from_string(lite_hub.SerializeToString())
    for constant in hub.graph.initializer:
        if constant.name == "input_zero_point":
            constant.CopyFrom(numpy_helper.from_array(np.uint8(0), constant.name))
    with pytest.raises(GraphError, match="TRT007 activation-uint8: input_q/QuantizeLinear"):
        emit(hub, emission)


def test_a_graph_that_is_not_valid_is_refused(lite_hub, emission):
    hub = onnx.load_from_string(lite_hub.SerializeToString())
    hub.graph.node[-1].input[0] = "nowhere"
    with pytest.raises(GraphError, match="not be valid ONNX"):
        emit(hub, emission)


def one_conv(scale: float, bias: float) -> onnx.ModelProto:
    """Input → Q → DQ → 1×1 convolution with one int8 weight."""
    initializers = [
        ("s", np.float32(scale)),
        ("z", np.int8(0)),
        ("w", np.full((1, 1, 1, 1), 127, np.int8)),
        ("ws", np.array([scale], np.float32)),
        ("wz", np.zeros(1, np.int8)),
        ("b", np.array([bias], np.float32)),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["input", "s", "z"], ["q"], name="q"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["dq"], name="dq"),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wdq"], name="wdq", axis=0),
        helper.make_node("Conv", ["dq", "wdq", "b"], ["logits"], name="conv"),
    ]
    shape = [1, 1, 2, 2]
    graph = helper.make_graph(
        nodes,
        "one",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in initializers],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_a_scale_that_would_vanish_in_fp16_is_raised_to_its_smallest_number():
    half = fp16_from_fp32(one_conv(scale=1e-9, bias=0))
    found = {c.name: numpy_helper.to_array(c) for c in half.graph.initializer}
    assert found["s"] == found["ws"] == np.float16(SMALLEST) > 0


def test_a_constant_beyond_fp16_is_an_error():
    with pytest.raises(GraphError, match=r"'b' reaches 7e\+04"):
        fp16_from_fp32(one_conv(scale=0.1, bias=7e4))


def test_an_operator_that_changes_its_meaning_is_an_error(lite_hub):
    model = onnx.load_from_string(lite_hub.SerializeToString())
    model.graph.node[-1].op_type = "ReduceMax"
    with pytest.raises(GraphError, match="ReduceMax"):
        fp16_from_fp32(model)


def test_the_targets_in_the_house_are_such_that_emit_takes():
    for name in ("jetson", "gpu", "rtx"):
        quantised, control = load_target(f"{name}-int8"), load_target(f"{name}-fp16")
        assert quantised.runtime == control.runtime == ("tensorrt_rtx" if name == "rtx" else "tensorrt")
        assert quantised.scheme.opset == 17 and control.scheme is None
        assert quantised.input == control.input == "float32"


def spoiled(graph, layers, scale=None, bias=None):
    """A copy whose layers' every other channel has this weight scale, this bias."""
    hub = onnx.load_from_string(graph.SerializeToString())
    for constant in hub.graph.initializer:
        layer, _, kind = constant.name.partition("_")
        wanted = {"weight_scale": scale, "bias": bias}.get(kind)
        if wanted is not None and layer.startswith(layers):
            value = numpy_helper.to_array(constant).copy()
            value[::2] = wanted
            constant.CopyFrom(numpy_helper.from_array(value, constant.name))
    return hub


#: Weights that have died, as in a trained Lite0; a bias that is vast beside its weights, as in a B0.
SPOILED = {
    "dead channels": (("depthwise1",), 1e-9, 3.0),
    "dead channels everywhere": (("stem", "expand", "depthwise", "project"), 1e-7, 2.0),
    "a vast bias": (("project", "depthwise"), 2e-5, 40.0),
    "a vast bias before a clamp": (("stem",), 1e-6, 2.5),
    "small biases, vast beside their weights": (("stem", "depthwise"), 1e-7, 0.5),
}


@pytest.mark.parametrize("case", SPOILED)
def test_onnxruntime_computes_the_fp16_graph_rightly_as_it_comes(
    lite_hub, emission, run_onnx, unseen, monkeypatch, case
):
    """With its default options, whose WeightBiasQuantization breaks the graph that nothing shields."""
    layers, scale, bias = SPOILED[case]
    hub = spoiled(lite_hub, layers, scale, bias)

    def default(content):
        session = session_of(content, emission.preprocess)
        return np.concatenate([session.execute(image[None])[0] for image in unseen])

    content = emit(hub, emission)[FP16]
    written = run_onnx(content, unseen)[0]
    assert sqnr(written, default(content)) > 25
    errors = [f for f in lint(onnx.load_from_string(content), versions_of(FP16)) if f.severity == "error"]
    assert errors == []
    monkeypatch.setattr("edgeeff.backends.tensorrt.fp16.shield", lambda _: None)
    bare = emit(hub, emission)[FP16]
    np.testing.assert_array_equal(run_onnx(bare, unseen)[0], written)
    assert sqnr(written, default(bare)) < 20


def test_a_graph_whose_biases_fit_has_no_node_more(lite_hub, emission):
    operators = {node.op_type for node in onnx.load_from_string(emit(lite_hub, emission)[FP16]).graph.node}
    assert "Max" not in operators


def test_a_shielded_graph_enters_again(lite_hub, emission, run_onnx, unseen):
    layers, scale, bias = SPOILED["a vast bias"]
    half = onnx.load_from_string(emit(spoiled(lite_hub, layers, scale, bias), emission)[FP16])
    again, said = repair(half)
    assert "Max" in {n.op_type for n in half.graph.node} and "Max" not in {
        n.op_type for n in again.graph.node
    }
    assert any("of one operand left out" in sentence for sentence in said)
    assert sqnr(run_onnx(half, unseen)[0], run_onnx(again, unseen)[0]) > 25

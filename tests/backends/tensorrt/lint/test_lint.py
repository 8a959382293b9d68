from __future__ import annotations

import re
from contextlib import suppress

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from edgeeff.backends.tensorrt.fp16 import fp16_from_fp32
from edgeeff.backends.tensorrt.lint import VERSIONS, Version, lint, parse_version, rules
from edgeeff.errors import GraphError, OptionError

WEAKLY_TYPED = [v for v in VERSIONS if v < Version(10, 12)]
STRONGLY_TYPED = [v for v in VERSIONS if v >= Version(10, 12)]


def broken(model, versions=VERSIONS):
    return {finding.rule for finding in lint(model, versions)}


# Rules and versions.


def test_every_rule_says_what_it_is():
    assert len({r.identifier for r in rules()}) == len({r.name for r in rules()}) == len(rules()) >= 35
    assert [r.identifier for r in rules()] == sorted(r.identifier for r in rules())
    for rule in rules():
        assert re.fullmatch(r"TRT0\d\d" if rule.severity == "error" else r"TRT1\d\d", rule.identifier)
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.name)
        assert rule.title and rule.why and rule.mend
        assert rule.first < rule.before and rule.versions_of()


def test_versions_are_read():
    assert parse_version("10.3") == parse_version(" v10.3.0.30 ") == Version(10, 3)
    assert [parse_version(str(v)) for v in VERSIONS] == list(VERSIONS) == sorted(VERSIONS)


@pytest.mark.parametrize(
    "text", ["", "ten", "10", "10.", "-10.3", "10.3;", "8.4", "12.0", "99999.1", "１０.3"]
)
def test_what_is_no_known_version_is_refused(text):
    with pytest.raises(OptionError):
        parse_version(text)


def test_a_version_between_the_known_ones_is_asked_about(corpus, new_net):
    net = new_net()
    corpus["graphs.operator_hard_swish"](net)
    assert "TRT002" in broken(net.model(), [Version(8, 5)])
    assert "TRT002" not in broken(net.model(), [Version(9, 1)])
    net = new_net()
    corpus["graphs.opset_21"](net)
    assert [f.versions for f in lint(net.model(), [Version(10, 14), Version(10, 15)])] == [(Version(10, 14),)]


# Findings.


def test_errors_come_first_and_say_where_and_what(corpus, new_net):
    net = new_net()
    corpus["zero_points.of_activations_3"](net)
    corpus["scales.too_small_for_float16"](net)
    found = lint(net.model())
    assert [f.severity for f in found] == sorted(f.severity for f in found)
    first = found[0]
    assert str(first) == "TRT003 zero-point-value: QuantizeLinear0: its zero point is 3"
    assert first.versions == VERSIONS and first.mend.startswith("calibrate symmetrically")


def test_one_breach_is_told_once_for_all_its_versions(corpus, new_net):
    net = new_net()
    corpus["scales.float16_at_opset_19"](net)
    found = [f for f in lint(net.model(), [*VERSIONS, *VERSIONS[::-1]]) if f.rule == "TRT016"]
    assert {f.versions for f in found} == {VERSIONS[:2]}
    assert len({f.node for f in found}) == len(found) == 3


def test_a_nameless_node_is_told_by_its_output(corpus, new_net):
    net = new_net()
    corpus["scales.of_0"](net)
    for node in net.nodes:
        node.ClearField("name")
    nodes = {f.node for f in lint(net.model()) if f.rule == "TRT011"}
    assert "QuantizeLinear of 'QuantizeLinear0_out'" in nodes


# Graphs of our own.


def test_a_hub_of_the_scheme_breaks_no_rule(hub):
    assert broken(hub, WEAKLY_TYPED) == set()
    assert broken(fp16_from_fp32(hub), STRONGLY_TYPED) == set()


def test_a_float_network_breaks_no_rule(swish_float):
    assert broken(swish_float, WEAKLY_TYPED) == set()
    assert broken(fp16_from_fp32(swish_float), STRONGLY_TYPED) == set()


def test_shapes_are_inferred_where_they_are_missing(lite_hub):
    bare = onnx.ModelProto()
    bare.CopyFrom(lite_hub)
    del bare.graph.value_info[:]
    assert broken(bare) == broken(lite_hub) == {"TRT108"}


def test_a_graph_is_left_as_it_was(lite_hub):
    before = lite_hub.SerializeToString(deterministic=True)
    lint(lite_hub)
    assert lite_hub.SerializeToString(deterministic=True) == before


# Graphs of others.


class _Images(CalibrationDataReader):
    def __init__(self):
        self.left = iter(np.random.default_rng(1).normal(size=(4, 1, 3, 32, 32)).astype(np.float32))

    def get_next(self):
        image = next(self.left, None)
        return None if image is None else {"input": image}


def quantised_by_onnxruntime(model, folder, **options):
    onnx.save(model, folder / "float.onnx")
    quantize_static(
        folder / "float.onnx", folder / "qdq.onnx", _Images(), quant_format=QuantFormat.QDQ, **options
    )
    return onnx.load(folder / "qdq.onnx")


@pytest.mark.filterwarnings("ignore")  # of onnxruntime's own
def test_onnxruntimes_default_is_found_out(swish_float, tmp_path):
    model = quantised_by_onnxruntime(swish_float, tmp_path)
    found = lint(model)
    biases = [f for f in found if f.rule == "TRT010"]
    assert len(biases) == sum(n.op_type in ("Conv", "Gemm") for n in model.graph.node)
    assert {f.versions for f in biases} == {VERSIONS}
    assert {"TRT003", "TRT103", "TRT105"} <= {f.rule for f in found}


@pytest.mark.filterwarnings("ignore")
def test_onnxruntime_told_of_tensorrt_breaks_no_error(swish_float, tmp_path):
    options = {"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False}
    model = quantised_by_onnxruntime(swish_float, tmp_path, extra_options=options, per_channel=True)
    assert not [f for f in lint(model) if f.severity == "error"]


@pytest.mark.filterwarnings("ignore")
def test_onnxruntimes_16_bits_are_found_out(lite_float, tmp_path):
    model = quantised_by_onnxruntime(lite_float, tmp_path, activation_type=QuantType.QUInt16)
    assert "TRT008" in broken(model)


# Graphs that are damaged or worse.


def test_a_circle_of_nodes_ends():
    circle = [
        helper.make_node("DequantizeLinear", ["b", "s", "z"], ["a"], axis=0),
        helper.make_node("QuantizeLinear", ["a", "s", "z"], ["b"]),
        helper.make_node("Sigmoid", ["a"], ["g"]),
        helper.make_node("Mul", ["a", "g"], ["y"]),
        helper.make_node("Conv", ["a", "a"], ["c"]),
        helper.make_node("Add", ["c", "c"], ["c"]),
    ]
    graph = helper.make_graph(circle, "circle", [], [helper.make_tensor_value_info("y", 1, None)])
    assert lint(helper.make_model(graph))


def test_absurd_dimensions_are_never_allocated(new_net):
    net = new_net()
    net.good()
    for dims in ([2**40, 2**20], [-1], [2**62]):
        model = net.model()
        for tensor in model.graph.initializer:
            tensor.dims[:] = dims
        assert lint(model)


def test_an_empty_model_and_nodes_without_inputs_are_taken():
    assert lint(onnx.ModelProto()) == []
    operators = (
        "QuantizeLinear",
        "DequantizeLinear",
        "Conv",
        "Gemm",
        "MatMul",
        "Mul",
        "Add",
        "Softmax",
        "If",
        "",
    )
    graph = helper.make_graph([helper.make_node(o, [], []) for o in operators], "bare", [], [])
    assert {"TRT004", "TRT012"} <= broken(helper.make_model(graph))


def test_a_tensor_whose_bytes_do_not_fit_is_taken(new_net):
    net = new_net()
    net.good()
    model = net.model()
    for tensor in model.graph.initializer:
        tensor.raw_data = tensor.raw_data[:-1]
    lint(model)


def test_damaged_files_raise_no_other_error(corpus, new_net):
    """Each graph of the corpus with some bytes changed, where protobuf still reads it."""
    rng = np.random.default_rng(3)
    read = 0
    for write in corpus.values():
        net = new_net()
        write(net)
        data = bytearray(net.model().SerializeToString())
        structure = data.find(b"QuantizeLinear")
        for _ in range(8):
            damaged = bytearray(data)
            for _ in range(3):
                damaged[rng.integers(max(0, structure - 40), min(len(data), structure + 600))] = rng.integers(
                    256
                )
            try:
                model = onnx.load_from_string(bytes(damaged))
            except Exception:  # protobuf's own
                continue
            read += 1
            with suppress(GraphError):
                assert all(isinstance(f.node, str) for f in lint(model))
    assert read > 50


def test_weights_of_several_gigabytes_are_not_copied_to_be_inferred(new_net):
    net = new_net()
    net.good()
    model = net.model()
    weight = next(t for t in model.graph.initializer if len(t.dims) == 4)
    weight.CopyFrom(TensorProto(name=weight.name, data_type=TensorProto.INT8, dims=[16, 16, 4096, 4096]))
    assert lint(model)
    assert numpy_helper.to_array(model.graph.initializer[0]).size == 1


def test_each_output_is_looked_at(lite_hub):
    """A map that is put out as the network has it, and one that is rounded to the codes that others read."""
    model = onnx.ModelProto()
    model.CopyFrom(lite_hub)
    constants = {tensor.name for tensor in model.graph.initializer}
    rounded = next(
        node.output[0]
        for node in model.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] not in constants
    )
    known = {value.name: value for value in model.graph.value_info}
    model.graph.output.extend([known["head_relu6"], known[rounded]])
    found = [f for f in lint(model) if f.rule == "TRT105"]
    assert len(found) == 1 and rounded in str(found[0])
    assert not [f for f in lint(model) if f.severity == "error"]

"""OpenVINO: what is emitted, what the CPU makes of it, and what it computes."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import onnx
import openvino as ov
import pytest

from edgeeff.backends import Emission
from edgeeff.backends.openvino import lengths
from edgeeff.backends.openvino.check import check
from edgeeff.backends.openvino.emit import emit
from edgeeff.backends.openvino.run import compile_model, load
from edgeeff.errors import BundleError, GraphError
from edgeeff.graph.model import expand_functions
from edgeeff.quantization import quantize, recipe
from edgeeff.target import load_target
from edgeeff.tasks import only

NETWORKS = ["lite0", "b0"]
LABELS = ("tabby cat", "dog", *(f"class {i}" for i in range(2, 10)))


def emission(network, target, **changes):
    wanted = replace(load_target(target), **{k: v for k, v in changes.items() if k == "input"})
    return Emission(
        f"{network.name}-{target}", wanted, network.preprocess, LABELS, changes.get("softmax", False)
    )


def sqnr(found, reference):
    return 10 * np.log10((reference**2).sum() / ((found - reference) ** 2).sum())


@pytest.fixture(scope="module")
def hubs(networks):
    """Each network's plan and hub graph in OpenVINO's scheme."""
    scheme = load_target("cpu-int8").scheme
    drafts = {
        name: recipe.load("fast")(quantize.begin(n.graph, n.statistics, n.preprocess, scheme))
        for name, n in networks.items()
    }
    return {name: (draft.plan(), quantize.write(draft)) for name, draft in drafts.items()}


@pytest.fixture
def write(tmp_path):
    """``write(files)``: a folder of them."""

    def make(files, name="bundle"):
        folder = tmp_path / name
        folder.mkdir()
        for file, content in files.items():
            (folder / file).write_bytes(content)
        return folder

    return make


def session(folder, network, target="cpu-int8", input_type="uint8"):
    properties = load_target(target).runtime_properties
    return load(folder, preprocess=network.preprocess, input_type=input_type, properties=properties)


@pytest.mark.parametrize("name", NETWORKS)
def test_emitting_twice_gives_the_same_bytes(name, networks, hubs):
    first = emit(hubs[name][1], emission(networks[name], "cpu-int8"))
    emit(expand_functions(networks["lite0"].graph), emission(networks["lite0"], "cpu-fp32", softmax=True))
    assert emit(hubs[name][1], emission(networks[name], "cpu-int8")) == first
    assert set(first) == {"model.xml", "model.bin", "labels.txt"}
    assert first["labels.txt"].decode().splitlines() == list(LABELS)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_planned_layer_has_an_int8_kernel(name, networks, hubs, write):
    plan, hub = hubs[name]
    folder = write(emit(hub, emission(networks[name], "cpu-int8")))
    (folder / "plan.json").write_text(plan.to_json())
    report = check(folder, properties=load_target("cpu-int8").runtime_properties)
    assert (report.status, report.fallbacks) == ("ok", ())
    assert report.counts["planned_int8"] == report.counts["int8_kernels"] == 50
    assert report.counts["executed_float_convolutions"] == (0 if name == "lite0" else 32)  # squeeze-excite
    assert report.summary == "50 of 50 planned layers run in INT8"


def test_a_layer_that_fell_back_is_named(networks, hubs, write):
    plan, hub = hubs["lite0"]
    folder = write(emit(hub, emission(networks["lite0"], "cpu-int8")))
    data = json.loads(plan.to_json())
    data["layers"]["block.that.is.not.there"] = {"precision": "int8"}
    (folder / "plan.json").write_text(json.dumps(data))
    report = check(folder, properties={})
    assert report.status == "fallback" and report.fallbacks == ("block.that.is.not.there",)
    assert "fell back: block.that.is.not.there" in report.summary


@pytest.mark.parametrize("name", NETWORKS)
def test_every_input_type_computes_what_the_float_input_does(name, networks, run_onnx, write):
    n = networks[name]
    graph = expand_functions(n.graph)
    expected = run_onnx(graph, n.preprocess.normalise(n.images[:3]))
    for input_type in ("uint8", "int8", "float32"):
        files = emit(graph, emission(n, "cpu-fp32", input=input_type))
        loaded = session(write(files, input_type), n, "cpu-fp32", input_type)
        prepared = loaded.prepare(n.images[:1])
        assert prepared.dtype == input_type
        assert prepared.shape == ((1, 3, 64, 64) if input_type == "float32" else (1, 64, 64, 3))
        found = only(loaded.infer(n.images[:3]))
        assert found.shape == (3, 10) and found.dtype == np.float32
        assert np.abs(found - expected).max() <= 2e-3 * np.abs(expected).max()


@pytest.mark.parametrize("input_type", ["uint8", "float32"])
@pytest.mark.parametrize("name", NETWORKS)
def test_int8_computes_what_the_hub_says(name, input_type, networks, hubs, run_onnx, write):
    n = networks[name]
    hub = hubs[name][1]
    expected = run_onnx(hub, n.preprocess.normalise(n.images))
    folder = write(emit(hub, emission(n, "cpu-int8", input=input_type)))
    found = only(session(folder, n, input_type=input_type).infer(n.images))
    reference = run_onnx(n.graph, n.preprocess.normalise(n.images))
    # Kernels round where the graph does not say how; they stay nearer to the hub than the hub to float.
    assert sqnr(found, expected) > sqnr(expected, reference)


def test_the_result_outlives_the_next_inference(networks, write):
    n = networks["lite0"]
    loaded = session(write(emit(expand_functions(n.graph), emission(n, "cpu-fp32"))), n, "cpu-fp32")
    first = only(loaded.infer(n.images[:1]))
    kept = first.copy()
    loaded.infer(n.images[1:2])
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(loaded.execute(loaded.prepare(n.images[:1]))[0], kept)


def test_softmax(networks, write):
    n = networks["lite0"]
    graph = expand_functions(n.graph)
    logits = only(
        session(write(emit(graph, emission(n, "cpu-fp32")), "logits"), n, "cpu-fp32").infer(n.images)
    )
    files = emit(graph, emission(n, "cpu-fp32", softmax=True))
    found = only(session(write(files, "softmax"), n, "cpu-fp32").infer(n.images))
    powers = np.exp(logits - logits.max(1, keepdims=True))
    np.testing.assert_allclose(found, powers / powers.sum(1, keepdims=True), rtol=1e-3, atol=1e-5)


def test_sigmoid(networks, write):
    n = networks["lite0"]
    graph = expand_functions(n.graph)
    logits = only(
        session(write(emit(graph, emission(n, "cpu-fp32")), "logits"), n, "cpu-fp32").infer(n.images)
    )
    wanted = replace(emission(n, "cpu-fp32", softmax=True), task="multilabel")
    found = only(session(write(emit(graph, wanted), "sigmoid"), n, "cpu-fp32").infer(n.images))
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-logits)), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("softmax", [False, True])
def test_model_api_takes_the_sigmoid_of_labels_itself(networks, write, softmax):
    n = networks["lite0"]
    wanted = replace(emission(n, "cpu-fp32", softmax=softmax), task="multilabel", threshold=0.25)
    model = ov.Core().read_model(write(emit(expand_functions(n.graph), wanted)) / "model.xml")
    assert model.get_rt_info(["model_info", "multilabel"]).astype(str) == "True"
    assert model.get_rt_info(["model_info", "confidence_threshold"]).astype(str) == "0.25"
    assert ("model_type" in model.get_rt_info("model_info").value) != softmax


@pytest.mark.parametrize("input_type", ["uint8", "float32"])
def test_model_info_is_what_model_api_reads(input_type, networks, write):
    n = networks["b0"]
    folder = write(emit(expand_functions(n.graph), emission(n, "cpu-fp32", input=input_type)))
    model = ov.Core().read_model(folder / "model.xml")
    info = {
        key: model.get_rt_info(["model_info", key]).astype(str)
        for key in model.get_rt_info("model_info").value
    }
    assert info["model_type"] == "Classification"
    assert info["labels"].split() == [label.replace(" ", "_") for label in LABELS]
    assert (info["orig_height"], info["orig_width"]) == ("64", "64")
    if input_type == "uint8":
        assert (info["mean_values"], info["scale_values"]) == ("0 0 0", "1 1 1")
    else:
        assert [float(v) for v in info["mean_values"].split()] == pytest.approx(n.preprocess.mean)
        assert [float(v) for v in info["scale_values"].split()] == pytest.approx(n.preprocess.std)
    assert (model.input().get_any_name(), model.output().get_any_name()) == ("input", "logits")
    assert list(model.output().shape) == [1, 10]


def test_an_operator_that_openvino_does_not_read_is_named(networks):
    graph = onnx.ModelProto()
    graph.CopyFrom(expand_functions(networks["lite0"].graph))
    graph.graph.node[1].op_type = "FlyToTheMoon"
    with pytest.raises(GraphError, match="OpenVINO does not read the graph"):
        emit(graph, emission(networks["lite0"], "cpu-fp32"))


@pytest.mark.parametrize("break_it", ["missing", "empty", "half", "no weights"])
def test_a_broken_ir_is_one_error(break_it, networks, write):
    n = networks["lite0"]
    folder = write(emit(expand_functions(n.graph), emission(n, "cpu-fp32")))
    path = folder / "model.xml"
    if break_it == "missing":
        path.unlink()
    elif break_it == "no weights":
        (folder / "model.bin").unlink()
    else:
        path.write_bytes(path.read_bytes()[: 0 if break_it == "empty" else 2000])
    with pytest.raises(BundleError, match=r"does not compile .*model\.xml"):
        session(folder, n, "cpu-fp32")


@pytest.fixture(scope="module")
def arithmetic(b0):
    """B0's plan and artifact with Swish as arithmetic and depthwise convolutions in float."""
    target = load_target("cpu-int8")
    served = target.served(target.variant("vnni", "unbounded"))
    draft = recipe.load("fast")(quantize.begin(b0.graph, b0.statistics, b0.preprocess, served.scheme))
    files = emit(quantize.write(draft), Emission("b0-cpu-int8", served, b0.preprocess, LABELS))
    return {**files, "plan.json": draft.plan().to_json().encode()}


def test_a_swish_written_as_arithmetic_is_one_kernel(arithmetic, write):
    found = check(write(arithmetic), properties={"INFERENCE_PRECISION_HINT": "f32"})
    assert found.status == "ok" and not found.deviations and not found.fallbacks
    assert found.counts["planned_int8"] == 34
    assert "16 layers kept in float; 33 Swishes as arithmetic" in found.summary


def test_a_runtime_that_does_not_fuse_it_is_told_on(arithmetic, write):
    properties = {"INFERENCE_PRECISION_HINT": "f32", "SNIPPETS_MODE": "DISABLE"}
    found = check(write(arithmetic), properties=properties)
    assert [d for d in found.deviations if d == "33 layers: Swish is not one kernel"]


def test_layers_kept_in_float_run_in_the_type_that_was_asked_for(arithmetic, write, monkeypatch):
    folder = write(arithmetic)
    ran = check(folder, properties={"INFERENCE_PRECISION_HINT": "f32"}).layers
    assert {layer.precision for layer in ran if "depthwise.conv" in layer.name} == {"f32"}
    # What a CPU without bf16 makes of the hint: it runs them in f32.
    monkeypatch.setattr("edgeeff.backends.openvino.check.compile_model", lambda f, _, t: in_f32(f, t))
    found = check(folder, properties={"INFERENCE_PRECISION_HINT": "bf16"})
    assert found.deviations == ["16 layers in f32, not in bf16"]


def in_f32(folder, threads):
    return compile_model(folder, {"INFERENCE_PRECISION_HINT": "f32"}, threads)


@pytest.mark.parametrize("length", [1.0, 1e-3, 1e-6, 0.0])
def test_a_short_vector_is_divided_by_its_own_length(length, networks):
    """OpenVINO's own reading of LpNormalization adds 1.2e-7 to the sum of squares."""
    graph = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> net (float[1,3,4,4] input) => (float[1,48] embedding)'
        "{ flat = Flatten (input) embedding = LpNormalization <axis = 1> (flat) }"
    )
    wanted = replace(emission(networks["lite0"], "cpu-fp32"), task="features", target=load_target("cpu-fp32"))
    files = emit(graph, replace(wanted, target=replace(wanted.target, input="float32")))
    model = ov.Core().read_model(files["model.xml"], files["model.bin"])
    x = np.random.default_rng(0).normal(0, 1, (1, 3, 4, 4)).astype(np.float32)
    x *= np.float32(length / np.linalg.norm(x))
    found = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(x)[0]
    expected = x.reshape(1, -1) / length if length else np.zeros((1, 48))
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("opset", [17, 18])
def test_each_vector_of_a_run_is_divided_by_its_own_length(opset):
    """From opset 18 on the axes of ReduceL2 are an input; without them it takes the length of a whole run."""
    graph = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["": {opset}]> net (float[2,4] x) => (float[2,4] y)'
        "{ y = LpNormalization <axis = 1> (x) }"
    )
    x = np.array([[3, 4, 0, 0], [300, 400, 0, 0]], np.float32)
    written = lengths.written_out(graph).SerializeToString()
    found = ov.Core().compile_model(ov.Core().read_model(written), "CPU")(x)[0]
    np.testing.assert_allclose(found, [[0.6, 0.8, 0, 0]] * 2, atol=1e-2)

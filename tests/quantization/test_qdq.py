"""The hub graph: what it is made of, and what it computes."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgeeff.calibration.collect import collect
from edgeeff.errors import CalibrationError
from edgeeff.images import ImageSet, with_crops
from edgeeff.quantization import quantize, recipe
from edgeeff.quantization.rewrites import shift
from edgeeff.quantization.rounding import SEVEN_BITS
from edgeeff.quantization.steps import correct_bias, ranges, round

NETWORKS = ["lite0", "b0"]
SCHEMES = ["openvino", "tensorrt", "tflite"]
every_hub = pytest.mark.parametrize(("network", "scheme"), [(n, s) for n in NETWORKS for s in SCHEMES])


def sqnr(found, reference):
    return 10 * np.log10((reference**2).sum() / ((found - reference) ** 2).sum())


def initializers(hub):
    return {i.name: numpy_helper.to_array(i) for i in hub.graph.initializer}


@every_hub
def test_keeps_the_contract(network, scheme, quantized):
    plan, hub = quantized(network, scheme)
    onnx.checker.check_model(hub, full_check=True)
    assert hub.ir_version == 8 and not hub.functions
    assert {e.domain: e.version for e in hub.opset_import if not e.domain} == {"": 17}
    assert {node.domain for node in hub.graph.node} == {""}
    assert ([i.name for i in hub.graph.input], [o.name for o in hub.graph.output]) == (["input"], ["logits"])
    for value in (*hub.graph.input, *hub.graph.output):
        assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
        assert value.type.tensor_type.shape.dim[0].dim_value == 1
    constants = initializers(hub)
    producers = {output: node for node in hub.graph.node for output in node.output}
    quantisers = Counter()
    for node in hub.graph.node:
        if node.op_type == "QuantizeLinear":
            quantisers[node.input[0]] += 1
            scale, zero_point = constants[node.input[1]], constants[node.input[2]]
            assert scale.shape == zero_point.shape == () and scale.dtype == np.float32
            tensor = node.input[0].removesuffix(".float").removesuffix(shift.SUFFIX)
            assert float(scale) == plan.activations[tensor].scale
            # TensorRT has no zero points: there they have become shifts.
            expected = 0 if scheme == "tensorrt" else plan.activations[tensor].zero_point
            assert int(zero_point) == expected
            assert node.input[0].endswith(shift.SUFFIX) == (expected != plan.activations[tensor].zero_point)
            assert zero_point.dtype == plan.activations[tensor].type
        elif node.op_type == "DequantizeLinear":
            assert len(node.input) == 3 and node.input[2] in constants  # the zero point is explicit
            if node.input[0] not in constants:
                quantiser = producers[node.input[0]]
                assert list(quantiser.input[1:]) == list(node.input[1:])
        elif node.op_type in ("Conv", "Gemm"):
            assert constants[node.input[2]].dtype == np.float32  # no INT32 bias through DequantizeLinear
            source = producers.get(node.input[1])
            assert (source is not None) == (node.name in plan.layers)
            if source is not None:
                codes, scale, zero = (constants[name] for name in source.input)
                assert source.attribute[0].name == "axis" and source.attribute[0].i == 0
                assert codes.dtype == np.int8 and codes.min() >= -127
                assert scale.shape == (len(codes),) and not zero.any()
    assert set(quantisers.values()) == {1}
    assert len(quantisers) == len(plan.activations)
    assert set(constants) == {name for node in hub.graph.node for name in node.input if name in constants}


@every_hub
def test_runs_in_onnxruntime_near_the_float_graph(network, scheme, quantized, networks, run_onnx):
    n = networks[network]
    x = n.preprocess.normalise(n.images)
    found = run_onnx(quantized(network, scheme)[1], x)
    assert found.shape == (8, 10) and found.dtype == np.float32
    assert sqnr(found, run_onnx(n.graph, x)) > 5  # random weights are the hardest; a wrong wire gives none


@every_hub
def test_every_shape_is_known(network, scheme, quantized):
    hub = quantized(network, scheme)[1]
    known = {value.name for value in [*hub.graph.value_info, *hub.graph.output]}
    assert {output for node in hub.graph.node for output in node.output} <= known


@every_hub
def test_the_float_graph_is_left_as_it_was(network, scheme, quantized, networks):
    quantized(network, scheme)
    counts = Counter(node.op_type for node in networks[network].graph.graph)
    assert not {"QuantizeLinear", "DequantizeLinear"} & set(counts)
    assert sum(counts.values()) == {"lite0": 94, "b0": 190}[network]


def test_same_inputs_same_bytes(begun, quantized):
    for scheme in SCHEMES:
        draft = recipe.load("fast")(begun("b0", scheme))
        plan, hub = draft.plan(), quantize.write(draft)
        first, expected = quantized("b0", scheme)
        assert hub.SerializeToString(deterministic=True) == expected.SerializeToString(deterministic=True)
        assert plan.to_json() == first.to_json()


def test_plan_as_json(quantized, networks):
    plan, _ = quantized("b0", "openvino")
    data = json.loads(plan.to_json())
    assert data["scheme"] == "openvino"
    assert list(data["activations"]) == list(plan.activations)
    layers = [node.name for node in networks["b0"].graph.graph if node.op_type in ("Conv", "Gemm")]
    assert set(data["layers"]) <= set(layers) and len(data["layers"]) == 50
    assert {layer["precision"] for layer in data["layers"].values()} == {"int8"}
    found = data["activations"]["input"]
    assert (
        found == {"scale": plan.activations["input"].scale, "zero_point": 0, "type": "int8"}
        or found["zero_point"]
    )


def test_seven_bit_weights(begun):
    draft = recipe.load("fast")(begun("lite0", "openvino", seven_bit_weights=True))
    plan, hub = draft.plan(), quantize.write(draft)
    assert max(int(np.abs(layer.codes.astype(int)).max()) for layer in plan.layers.values()) == SEVEN_BITS
    codes = [a for name, a in initializers(hub).items() if name.endswith(".weight_codes")]
    assert len(codes) == len(plan.layers) and all(np.abs(a.astype(int)).max() <= SEVEN_BITS for a in codes)


def test_bias_correction_brings_the_mean_of_the_logits_nearer(networks, begun, run_onnx):
    n = networks["lite0"]
    x = n.preprocess.normalise(n.images)
    reference = run_onnx(n.graph, x).mean(0)
    rounded = round.apply(ranges.apply(begun("lite0", "tflite"), method="minmax"))
    errors = [
        np.abs(run_onnx(quantize.write(draft), x).mean(0) - reference).mean()
        for draft in (correct_bias.apply(rounded), rounded)
    ]
    assert errors[0] < errors[1]


def test_statistics_of_another_graph_are_refused(networks, schemes):
    lite0, b0 = networks["lite0"], networks["b0"]
    with pytest.raises(CalibrationError, match="the statistics know nothing of"):
        recipe.load("fast")(quantize.begin(b0.graph, lite0.statistics, b0.preprocess, schemes["openvino"]))


def test_trained_lite0_keeps_18_db(trained_lite0, photos, schemes, run_onnx):
    """Real weights, real photos: logits of crops that did not calibrate."""
    graph, preprocess = trained_lite0
    calibration = ImageSet(tuple(photos[:15] + with_crops(photos[:15], 15, 0)))
    judged = ImageSet(tuple(photos[15:] + with_crops(photos[15:], 7, 1)))
    statistics = collect(graph, preprocess, (pixels for pixels, _ in calibration.batches(preprocess, 4)))
    draft = recipe.load("fast")(quantize.begin(graph, statistics, preprocess, schemes["openvino"]))
    hub = quantize.write(draft)
    x = np.concatenate([preprocess.normalise(pixels) for pixels, _ in judged.batches(preprocess)])
    reference, found = run_onnx(graph, x), run_onnx(hub, x)
    assert sqnr(found, reference) >= 18
    assert (found.argmax(1) == reference.argmax(1)).mean() >= 0.8

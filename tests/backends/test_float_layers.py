"""Layers that stay float amid int8 ones: each runtime runs just those so, and computes what was meant."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest

from edgeeff import backends
from edgeeff.backends import Emission
from edgeeff.backends.onnxruntime.run import session_of
from edgeeff.backends.tensorrt.lint import Version, lint
from edgeeff.errors import MissingRuntimeError
from edgeeff.files import write_folder
from edgeeff.quantization import quantize, recipe
from edgeeff.quantization.rewrites import fold_preprocessing
from edgeeff.target import load_target
from edgeeff.tasks import only

#: At the network's start, in its middle, and its end.
KEPT = frozenset({"stem.conv", "blocks.0.depthwise.conv", "blocks.5.expand.conv", "classifier"})
CASES = [
    ("cpu-int8", "uint8"),
    ("cpu-int8", "float32"),
    ("mobile-int8", "float32"),
    ("mobile-int8", "uint8"),
    ("mobile-int8", "int8"),
    ("jetson-int8", "float32"),
]


def emitted(network, name, io, folder):
    """The target, and the hub graph that was emitted into the folder."""
    target = replace(load_target(name), input=io)
    raw = backends.runtime(target.runtime).holds_pixels(io)
    model, statistics = network.graph, network.statistics
    if raw:
        model, statistics = fold_preprocessing.rewrite(model, statistics, network.preprocess)
    draft = recipe.load("fast")(
        quantize.begin(model, statistics, network.preprocess, target.scheme, floating=KEPT)
    )
    hub = quantize.write(draft)
    files = (
        backends.runtime(target.runtime)
        .part("emit")
        .emit(hub, Emission("kept", target, network.preprocess, ()))
    )
    write_folder(folder, {**files, "plan.json": draft.plan().to_json().encode()})
    return target, hub, raw


def float_layers(report):
    """The layers with weights that ran in float, by the names of the graph."""
    found = set()
    for layer in report.layers:
        openvino = layer.operator in ("Convolution", "FullyConnected", "MatMul")
        tflite = layer.operator in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
        integer = layer.kernel.upper().endswith(("I8", "U8")) if openvino else layer.precision == "int8"
        if (openvino or tflite) and not integer:
            found.add(layer.name)
    # The runtimes name a fused layer by its last part: stem.clip, blocks.0.depthwise.conv/WithoutBiases.
    return {name.partition("/")[0].removesuffix(".clip").removesuffix(".conv") for name in found}


@pytest.mark.parametrize(("name", "io"), CASES)
@pytest.mark.parametrize("network", ["lite0", "b0"])
def test_just_these_run_in_float(network, name, io, networks, tmp_path):
    network = networks[network]
    target, hub, raw = emitted(network, name, io, tmp_path)
    report = (
        backends.runtime(target.runtime).part("check").check(tmp_path, properties=target.runtime_properties)
    )
    assert not report.fallbacks
    if target.runtime != "tensorrt":
        expected = {"stem", "blocks.0.depthwise", "blocks.5.expand", "classifier"}
        # OpenVINO keeps squeeze-and-excite float anyway, and ``input`` normalises pixels in a .tflite.
        found = {n for n in float_layers(report) if ".squeeze." not in n and n != "input"}
        assert {
            n.replace("logits.float", "classifier").replace("logits", "classifier") for n in found
        } == expected
    if target.runtime == "tflite":
        assert report.counts["delegate_nodes"] == 1
        assert {layer.operator for layer in report.layers if layer.kernel == "builtin"} <= {"QUANTIZE"}
    try:
        session = (
            backends.runtime(target.runtime)
            .part("run")
            .load(
                tmp_path,
                preprocess=backends.input_preprocess(target, network.preprocess),
                input_type=io,
                properties=target.runtime_properties,
            )
        )
    except MissingRuntimeError:
        return
    found = only(session.infer(network.images))

    def sqnr(literal):
        session = session_of(
            hub.SerializeToString(), network.preprocess, "uint8" if raw else "float32", literal=literal
        )
        meant = only(session.infer(network.images))
        return 10 * np.log10((meant**2).sum() / ((found - meant) ** 2).sum())

    # So sensitive a network tells sums in another order: OpenVINO's are the graph's, XNNPACK's those of
    # onnxruntime's integer kernels, with and without float layers.
    assert max(sqnr(True), sqnr(False)) > 15


@pytest.mark.parametrize("network", ["lite0", "b0"])
def test_tensorrt_reads_no_codes_at_float_layers(network, networks, tmp_path):
    emitted(networks[network], "jetson-int8", "float32", tmp_path)
    for file, version in (("model.qdq.onnx", Version(10, 3)), ("model.qdq.fp16.onnx", Version(11, 4))):
        found = lint(onnx.load(tmp_path / file), [version])
        assert {f.severity for f in found} == {"warning"}
        assert {f.node for f in found if f.name == "float-layer"} == KEPT

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import onnx
import pytest

from edgeeff.backends.tensorrt import rtx
from edgeeff.backends.tensorrt.check import check
from edgeeff.backends.tensorrt.emit import emit
from edgeeff.errors import BundleError, VerificationError

with_rtx = pytest.mark.skipif(not rtx.available(), reason="the tensorrt-rtx extra is not installed")


@pytest.fixture
def bundle(tmp_path, hub, emission):
    for name, content in emit(hub, emission).items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "manifest.json").write_text("{}")
    return tmp_path


def verified(bundle, passed: bool, manifest: bytes) -> None:
    """What verify.py leaves on an Orin."""
    (bundle / "measured").mkdir()
    found = {
        "manifest_sha256": hashlib.sha256(manifest).hexdigest(),
        "engine": {"tensorrt": "10.3.0", "compute_capability": "8.7"},
        "golden": {"passed": passed, "sqnr_hub_db": 31.5},
    }
    (bundle / "measured" / "verify.json").write_text(json.dumps(found))


def test_without_a_device_the_engine_is_not_run(bundle):
    report = check(bundle, properties={})
    assert report.status == "NOT RUN"
    assert "engine NOT RUN: " in report.summary
    assert 1 <= report.counts["rung"] < 6


def test_a_result_of_a_device_for_this_very_bundle_counts(bundle):
    verified(bundle, True, b"{}")
    report = check(bundle, properties={})
    assert (report.status, report.counts["rung"]) == ("ok", 6)
    assert "engine passed on its device (TensorRT 10.3.0, compute 8.7): 31.5 dB" in report.summary


def test_a_result_for_another_bundle_does_not(bundle):
    verified(bundle, True, b"another")
    report = check(bundle, properties={})
    assert report.status == "NOT RUN"
    assert "NOT RUN: the result of TensorRT 10.3.0, compute 8.7 is of another bundle" in report.summary


def test_a_failed_result_is_said_to_have_failed(bundle):
    verified(bundle, False, b"{}")
    report = check(bundle, properties={})
    assert report.status != "ok"
    assert "FAILED on its device" in report.summary


def test_the_device_wing_loads_neither_onnx_nor_tensorrt():
    code = (
        "import sys, edgeeff.backends.tensorrt.check, edgeeff.backends.tensorrt.run\n"
        "print(sorted({'onnx', 'onnxruntime', 'torch', 'tensorrt', 'tensorrt_rtx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_bundle_without_its_graphs_is_an_error(bundle):
    (bundle / "model.qdq.fp16.onnx").unlink()
    with pytest.raises(BundleError, match=r"has no model\.qdq\.fp16\.onnx"):
        check(bundle, properties={})


# Two lines of a builder's log, shortened: a convolution and the generated kernel that adds its bias.
LOG = """Layers:
Name: stem/Conv_myl0_1, LayerType: correlation, Inputs: [ { Name: a, Dimensions: [1,4,8,8], Datatype: %s }], \
Constants: [ { Name: b, Datatype: Int8 }], Outputs: [ { Name: c, Datatype: Float }], \
TacticName: t1, StreamId: 0, Metadata: [ONNX Layer: stem/Conv][ONNX Layer: input_dq/DequantizeLinear]
Name: __myl_MulAdd_myl0_2, LayerType: kgen, Inputs: [ { Name: c, Datatype: Int8 }], \
Outputs: [ { Name: d, Datatype: Half }], TacticName: , StreamId: 0, Metadata: [ONNX Layer: stem/Conv]
"""


@pytest.mark.parametrize(("precision", "fallbacks"), [("Int8", []), ("Half", ["stem/Conv"])])
def test_the_compilers_log_tells_which_layers_are_int8(precision, fallbacks):
    read = list(rtx.kernels(iter([LOG % precision])))
    plan = rtx.Plan(["stem/Conv"], [kernel for kernel, _ in read], [sources for _, sources in read])
    assert [(k.operator, k.precision, k.kernel) for k in plan.kernels] == [
        ("correlation", precision, "t1"),
        ("kgen", "Int8", ""),
    ]
    assert plan.fallbacks() == fallbacks


@with_rtx
def test_nvidias_compiler_makes_int8_of_every_quantised_layer(bundle):
    report = check(bundle, properties={})
    assert report.counts["rung"] == 3
    assert report.counts["int8_layers"] == report.counts["quantised_layers"] >= 5
    assert "accepted by NVIDIA's parser (TensorRT-RTX" in report.summary
    assert "compiles as strongly typed INT8 for SM86" in report.summary


@with_rtx
def test_nvidias_parser_refuses_what_the_rules_refuse(bundle):
    path = bundle / "model.qdq.onnx"
    model = onnx.load(path)
    for constant in model.graph.initializer:
        if constant.name == "input_zero_point":
            constant.CopyFrom(
                onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(constant) + 3, constant.name)
            )
    onnx.save(model, path)
    with pytest.raises(VerificationError, match="NVIDIA's parser"):
        check(bundle, properties={})

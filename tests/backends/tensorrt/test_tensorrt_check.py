from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import replace

import onnx
import pytest

from edgeeff.backends.tensorrt import rtx
from edgeeff.backends.tensorrt.check import check
from edgeeff.backends.tensorrt.emit import emit
from edgeeff.errors import BundleError, OptionError, VerificationError
from edgeeff.files import write_folder
from edgeeff.target import load_target

with_rtx = pytest.mark.skipif(not rtx.available(), reason="the tensorrt-rtx extra is not installed")
without_rtx = pytest.mark.skipif(rtx.available(), reason="the tensorrt-rtx extra is installed")


@pytest.fixture
def bundle(tmp_path, hub, emission):
    write_folder(tmp_path, {**emit(hub, emission), "manifest.json": b"{}"})
    return tmp_path


@pytest.fixture
def control(tmp_path, lite_float, emission):
    """An FP16 bundle."""
    files = emit(lite_float, replace(emission, target=load_target("jetson-fp16")))
    write_folder(tmp_path, {**files, "manifest.json": b"{}"})
    return tmp_path


def verified(bundle, passed: bool, manifest: bytes) -> None:
    """What verify.py leaves on an Orin."""
    (bundle / "measured").mkdir()
    board = {"tensorrt": "10.3.0", "compute_capability": "8.7", "l4t": "36.4.3"}
    engine = {
        **board,
        "precision": "int8",
        "onnx": "model.qdq.onnx",
        "onnx_sha256": "0" * 64,
        "strongly_typed": False,
        "engine_sha256": "0" * 64,
    }
    golden = {
        **{"images": 4, "sqnr_hub_db": 31.5, "agreement_hub": 1.0, "sqnr_float_db": 20.0},
        **{"agreement_float": 1.0, "tolerance_db": 19.0, "passed": passed},
    }
    times = {"p50": 1.0, "p90": 1.1, "p99": 1.2}
    conditions = {"gpu_hz": None, "emc_hz": None, "temperatures_c": {}}
    latency = {
        **{"runs": 500, "rounds": 5, "int8": {"host_ms": times, "gpu_ms": times}, "ratio": None},
        **{"spin_wait": True, "no_cuda_graph": {}},
    }
    found = {
        **board,
        "schema_version": 1,
        "bundle": "tiny",
        "manifest_sha256": hashlib.sha256(manifest).hexdigest(),
        "measured_at": "2026-01-01T00:00:00Z",
        "board": "NVIDIA Jetson Orin Nano",
        "engines": {"int8": engine},
        "golden": {"int8": golden},
        "passed": passed,
        "latency": latency,
        "power": None,
        "clocks": {"power_mode": None, "pinned": None, "before": conditions, "after": conditions},
    }
    (bundle / "measured" / "verify.json").write_text(json.dumps(found))


def test_without_a_device_the_engine_is_not_run(bundle):
    report = check(bundle, properties={})
    assert report.status == "NOT RUN"
    assert "engine NOT RUN: " in report.summary and "engine NOT RUN: " in report.ladder["6"]
    assert 1 <= report.counts["rung"] < 6
    assert report.summary.startswith(f"rung {report.counts['rung']} of 6: meets the known rules")


@without_rtx
def test_without_nvidias_compiler_rung_1_is_the_highest(bundle):
    report = check(bundle, properties={})
    assert report.counts == {"rung": 1}
    assert "parser and compiler NOT RUN: pip install" in report.summary


def test_a_result_of_a_device_for_this_very_bundle_counts(bundle):
    verified(bundle, True, b"{}")
    report = check(bundle, properties={})
    assert (report.status, report.counts["rung"]) == ("ok", 6)
    assert "engine passed on NVIDIA Jetson Orin Nano (TensorRT 10.3.0" in report.summary


def test_a_result_for_another_bundle_does_not(bundle):
    verified(bundle, True, b"another")
    report = check(bundle, properties={})
    assert report.status == "NOT RUN"
    assert "NOT RUN: the result of NVIDIA Jetson Orin Nano" in report.summary


def test_a_failed_result_is_said_to_have_failed(bundle):
    verified(bundle, False, b"{}")
    report = check(bundle, properties={})
    assert report.status != "ok"
    assert "engine FAILED on" in report.summary


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
    (bundle / "model.qdq.onnx").unlink()
    with pytest.raises(BundleError, match=r"has no model\.qdq\.onnx and no model\.qdq\.fp16\.onnx"):
        check(bundle, properties={})


def test_an_fp16_bundle_needs_no_quantised_graph(control):
    report = check(control, properties={})
    assert report.status == "NOT RUN" and not report.fallbacks
    (control / "model.float.onnx").unlink()
    with pytest.raises(BundleError, match=r"has no model\.float\.onnx"):
        check(control, properties={})


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
def test_nvidias_compiler_takes_the_control(control):
    report = check(control, properties={})
    assert report.counts == {"rung": 3}
    assert report.ladder["3"] == "compiles as strongly typed FP16 for SM86"
    assert {layer.precision for layer in report.layers if layer.operator == "correlation"} == {"Half"}


@with_rtx
@pytest.mark.parametrize("asked", ["", "87", "sm86", "86, 90"])
def test_a_capability_that_the_compiler_does_not_take(bundle, asked):
    with pytest.raises(OptionError, match=r"compiles for 75, 80, 86"):
        check(bundle, properties={rtx.PROPERTY: asked})


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

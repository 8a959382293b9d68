"""Builds for TensorRT's targets: what is in the bundles, and that nothing is said to have run."""

from __future__ import annotations

import json

import pytest

GRAPHS = {
    "jetson-int8": {"model.qdq.onnx", "model.qdq.fp16.onnx", "model.float.onnx", "model.float.fp16.onnx"},
    "jetson-fp16": {"model.float.onnx", "model.float.fp16.onnx"},
    "gpu-fp16": {"model.float.onnx", "model.float.fp16.onnx"},
    "rtx-int8": {"model.qdq.fp16.onnx"},
    "rtx-fp16": {"model.float.fp16.onnx"},
}


@pytest.fixture(scope="module")
def build(edgeeff, ten_photos, small, tmp_path_factory):
    """``build(*targets)``: a small network; what was said, and the bundles."""

    def run(*targets):
        output = tmp_path_factory.mktemp("built")
        result = edgeeff(
            *("build", *small("lite"), "--name=lite0", f"--calibration={ten_photos}", "--json"),
            "--effort=fast",
            *(f"--output={output}", *(f"--target={target}" for target in targets)),
        )
        assert result.status == 0, result.err
        return result, {target: output / f"lite0-{target}" for target in targets}

    return run


def graphs(bundle):
    manifest = json.loads((bundle / "manifest.json").read_text())
    return {name for name in manifest["files"] if name.endswith(".onnx") and "/" not in name}


def test_bundles_for_tensorrt(build):
    result, bundles = build("jetson-int8", "jetson-fp16", "gpu-fp16")
    for target, bundle in bundles.items():
        assert graphs(bundle) == GRAPHS[target]
        assert (bundle / "build_engine.py").is_file() and (bundle / "deploy").is_dir()
        found = json.loads((bundle / "measured" / "verification.json").read_text())
        assert found["counts"]["rung"] < 6 and "engine NOT RUN" in found["ladder"]["6"]
        assert found["ladder"]["1"] == "meets the known rules of TensorRT 8.5 to 11"
        assert 0 < found["fp16"]["largest"] < 65504 and found["fp16"]["tensor"]
        assert set(found["numerics"]) == GRAPHS[target]
    assert "numerics model.qdq.fp16.onnx: " in result.err and "FP16's 65504" in result.err
    # The control is the float network, not the quantised one with its rounding left in.
    quantised = json.loads((bundles["jetson-int8"] / "measured" / "verification.json").read_text())
    assert quantised["numerics"]["model.float.onnx"]["sqnr_float_db"] > 90
    assert quantised["numerics"]["model.qdq.onnx"]["sqnr_hub_db"] == "inf"
    assert [b["verification"] for b in result.data] == [None] * 3


def test_bundles_for_tensorrt_rtx(build):
    pytest.importorskip("tensorrt_rtx", reason="the tensorrt-rtx extra is not installed")
    _, bundles = build("rtx-int8", "rtx-fp16")
    for target, bundle in bundles.items():
        assert graphs(bundle) == GRAPHS[target]
        found = json.loads((bundle / "measured" / "verification.json").read_text())
        assert found["counts"]["rung"] == 3 and "NOT RUN" in found["ladder"]["6"]
        for capability in ("80", "86", "89", "120"):
            assert (bundle / "measured" / f"model.sm{capability}.engine").stat().st_size > 1e4
            plan = json.loads((bundle / "measured" / f"model.sm{capability}.plan.json").read_text())
            assert (len(plan["intended_int8"]) > 20) == (target == "rtx-int8")
        sealed = json.loads((bundle / "manifest.json").read_text())["files"]
        assert not [name for name in sealed if name.startswith("measured/")]

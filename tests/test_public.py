"""The public names, and what they load."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

import edgeeff

HEAVY = ("torch", "onnx", "onnx_ir", "onnxsim", "onnxruntime", "safetensors", "openvino", "ai_edge_litert")


def test_public_names():
    names = ["BuildRequest", "Bundle", "EdgeeffWarning", "Finetuned", "Prediction", "Predictor", "Target"]
    names += ["benchmark", "build", "evaluate", "evaluate_all", "finetune", "open_device"]
    assert edgeeff.__all__ == names
    assert dir(edgeeff) == sorted([*edgeeff.__all__, "__version__"])
    for name in edgeeff.__all__:
        found = getattr(edgeeff, name)
        assert found.__name__ == name and found.__doc__
    with pytest.raises(AttributeError, match="no attribute 'quantise'"):
        _ = edgeeff.quantise
    assert re.fullmatch(r"\d+\.\d+\.\d+", edgeeff.__version__)


def test_public_device_names_load_nothing_heavy():
    used = "edgeeff.Bundle, edgeeff.Predictor, edgeeff.Target, edgeeff.evaluate, edgeeff.evaluate_all"
    used += ", edgeeff.benchmark, edgeeff.open_device"
    script = f"import sys, edgeeff; {used}\n"
    script += f"print([m for m in {list(HEAVY)} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_runtime_calls_home_or_leaves_files(tmp_path):
    code = "import edgeeff, onnxruntime; onnxruntime.get_available_providers()"
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    subprocess.run(
        [sys.executable, "-c", code], env=environment | {"TMPDIR": str(tmp_path)}, check=True, timeout=120
    )
    assert list(tmp_path.iterdir()) == []

# tests/plugin/edgeeff_ortcpu/ort_cpu/check.py
"""Which layers onnxruntime runs in INT8, as it says itself after one inference."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime

from edgeeff import planned
from edgeeff.backends import CheckReport, Layer

_INT8 = {"QLinearConv", "QGemm", "QLinearMatMul"}


def check(folder: Path, *, properties: Mapping[str, str]) -> CheckReport:
    """Each layer that the plan means for INT8, by the kernel that ran it."""
    with TemporaryDirectory() as scratch:
        options = onnxruntime.SessionOptions()
        options.enable_profiling, options.profile_file_prefix = True, f"{scratch}/profile"
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(
            (folder / "model.onnx").read_bytes(), options, providers=["CPUExecutionProvider"]
        )
        (given,) = session.get_inputs()
        shape = [side if isinstance(side, int) else 1 for side in given.shape]  # a free batch: one image
        session.run(None, {given.name: np.zeros(shape, np.float32)})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    kernels = {
        re.sub(r"(_token_\d+)?_kernel_time$", "", event["name"]): event["args"]["op_name"]
        for event in events
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time")
    }
    meant = [n for n, layer in planned.read(folder).get("layers", {}).items() if layer["precision"] == "int8"]
    layers = [
        Layer(n, kernel, "int8" if kernel in _INT8 else "float32", kernel) for n, kernel in kernels.items()
    ]
    float_layers = [name for name in meant if kernels.get(name) not in _INT8]
    return CheckReport(
        "fallback" if float_layers else "ok",
        f"{len(meant) - len(float_layers)} of {len(meant)} planned layers run in INT8",
        counts={"int8": len(meant) - len(float_layers)},
        fallbacks=float_layers,
        layers=layers,
    )

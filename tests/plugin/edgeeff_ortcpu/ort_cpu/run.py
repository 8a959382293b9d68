# tests/plugin/edgeeff_ortcpu/ort_cpu/run.py
"""A session over that graph, with all of onnxruntime's own fusions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from edgeeff.backends import Session
from edgeeff.backends.onnxruntime.run import session_of
from edgeeff.preprocess import Preprocess
from edgeeff.target import InputType


def load(
    folder: Path,
    *,
    preprocess: Preprocess,
    input_type: InputType,
    properties: Mapping[str, str],
    threads: int = 1,
    outputs: Sequence[str] = (),
) -> Session:
    """What runs raw pixels: ``infer``, ``prepare`` and ``execute``."""
    path = folder / "model.onnx"
    return session_of(path.read_bytes(), preprocess, input_type, threads, outputs=outputs, path=path)

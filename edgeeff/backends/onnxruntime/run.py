"""onnxruntime sessions: the reference executor of float and hub graphs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from edgeeff.backends import Logits
from edgeeff.preprocess import Pixels, Preprocess
from edgeeff.target import InputType


@dataclass(frozen=True)
class OnnxRuntimeSession:
    """A graph with a static batch of one and a float input, normalised or raw."""

    session: Any
    preprocess: Preprocess
    input_type: InputType = "float32"

    def infer(self, pixels: Pixels) -> Logits:
        """Raw pixels uint8 [N, H, W, 3] to float32 [N, classes]."""
        return np.concatenate([self.execute(self.prepare(image[None])) for image in pixels])

    def prepare(self, pixels: Pixels) -> Any:
        """The native input of one image."""
        if self.input_type == "float32":
            return self.preprocess.normalise(pixels)
        # Of a hub graph raw pixels are float; a TensorRT bundle's graph takes them as they are.
        kind = np.uint8 if self.session.get_inputs()[0].type == "tensor(uint8)" else np.float32
        return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2).astype(kind))

    def execute(self, prepared: Any) -> Any:
        """Run the inference alone."""
        return self.session.run(None, {self.session.get_inputs()[0].name: prepared})[0]


def load(
    folder: Path,
    *,
    preprocess: Preprocess,
    input_type: InputType,
    properties: Mapping[str, str],
    threads: int = 1,
) -> OnnxRuntimeSession:
    """A session over a bundle's ``model.onnx``."""
    del properties
    return session_of((folder / "model.onnx").read_bytes(), preprocess, input_type, threads)


def session_of(
    graph: bytes,
    preprocess: Preprocess,
    input_type: InputType = "float32",
    threads: int = 1,
    literal: bool = False,
) -> OnnxRuntimeSession:
    """A session over a graph in memory.

    Args:
        graph: ONNX, with a float input.
        preprocess: From pixels to that input.
        input_type: ``float32``: the input is normalised; else it is raw pixels.
        threads: Of one inference.
        literal: Compute a Q/DQ graph as it is written; onnxruntime's own fusions round elsewhere.
    """
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    if literal:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return OnnxRuntimeSession(session, preprocess, input_type)

"""onnxruntime sessions: the reference executor of float and hub graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from edgeeff.backends import output_places
from edgeeff.batch import MOST, ONE, Batch
from edgeeff.onboard.runs import in_runs
from edgeeff.preprocess import Pixels, Preprocess
from edgeeff.target import InputType
from edgeeff.tasks import Outputs

#: An optimisation of onnxruntime's that computes something else: it folds a Pad of zeros into the max-pool
#: that reads it, whose own padding is of no value (seen in 1.31; zylo117's detectors have such a Pad).
WRONG = ("Pad_Fusion",)


@dataclass(frozen=True)
class OnnxRuntimeSession:
    """A graph with a float input, normalised or raw."""

    session: Any
    preprocess: Preprocess
    outputs: tuple[str, ...]  # by name
    input_type: InputType = "float32"
    batch: Batch = ONE

    def infer(self, pixels: Pixels) -> Outputs:
        """Raw pixels uint8 [N, H, W, C] to the graph's outputs, by their names."""
        return in_runs(pixels, self.batch, self._run)

    def _run(self, pixels: Pixels) -> Outputs:
        return dict(zip(self.outputs, self.execute(self.prepare(pixels)), strict=True))

    def prepare(self, pixels: Pixels) -> Any:
        """The native input of a run's images."""
        if self.input_type == "float32":
            return self.preprocess.normalise(pixels)
        # Of a hub graph raw pixels are float; a TensorRT bundle's graph takes them as they are.
        kind = np.uint8 if self.session.get_inputs()[0].type == "tensor(uint8)" else np.float32
        return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2).astype(kind))

    def execute(self, prepared: Any) -> Any:
        """Run the inference alone; the outputs stand in the order of :attr:`outputs`."""
        return self.session.run(self.outputs, {self.session.get_inputs()[0].name: prepared})


def load(
    folder: Path,
    *,
    preprocess: Preprocess,
    input_type: InputType,
    properties: Mapping[str, str],
    threads: int = 1,
    outputs: Sequence[str] = (),
) -> OnnxRuntimeSession:
    """A session over a bundle's ``model.onnx``.

    Raises:
        BundleError: The graph has not the bundle's outputs.
    """
    del properties
    path = folder / "model.onnx"
    return session_of(path.read_bytes(), preprocess, input_type, threads, outputs=outputs, path=path)


def session_of(
    graph: bytes,
    preprocess: Preprocess,
    input_type: InputType = "float32",
    threads: int = 1,
    literal: bool = False,
    *,
    outputs: Sequence[str] | None = None,
    path: Path = Path("the graph"),
) -> OnnxRuntimeSession:
    """A session over a graph in memory.

    Args:
        graph: ONNX, with a float input.
        preprocess: From pixels to that input.
        input_type: ``float32``: the input is normalised; else it is raw pixels.
        threads: Of one inference.
        literal: Compute a Q/DQ graph as it is written; onnxruntime's own fusions round elsewhere.
        outputs: Those that a manifest names; None: all that the graph has.
        path: Where the graph was read, for a message.

    Raises:
        BundleError: The graph has not those outputs.
    """
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    if literal:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(
        graph, options, providers=["CPUExecutionProvider"], disabled_optimizers=[*WRONG]
    )
    names = [output.name for output in session.get_outputs()]
    if outputs is not None:
        names = list(output_places([{name} for name in names], outputs, path))
    first = session.get_inputs()[0].shape[0]
    batch = Batch(first) if isinstance(first, int) else Batch(MOST, True)
    return OnnxRuntimeSession(session, preprocess, tuple(names), input_type, batch)

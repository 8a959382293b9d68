"""Run a bundle's engine on the device that built it, through tensorrt and the CUDA runtime alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeeff.backends import output_places
from edgeeff.backends.tensorrt.device.onboard import engines, hardware, sealed
from edgeeff.backends.tensorrt.device.onboard.golden import artifact
from edgeeff.backends.tensorrt.device.onboard.running import Engine
from edgeeff.batch import Batch, filled, in_runs
from edgeeff.errors import MissingRuntimeError
from edgeeff.preprocess import Pixels, Preprocess
from edgeeff.target import InputType
from edgeeff.tasks import Outputs


class EngineSession:
    """A deserialised engine, run on one CUDA stream."""

    def __init__(
        self, engine: Engine, preprocess: Preprocess, input_type: InputType, outputs: Sequence[str]
    ) -> None:
        self._engine = engine
        self._outputs = outputs
        self._preprocess = preprocess
        self._input_type = input_type
        self._least, most = engine.profile[0], engine.profile[2]
        self.batch = Batch(most, self._least < most)

    def infer(self, pixels: Pixels) -> Outputs:
        """Raw pixels uint8 [N, H, W, C] to the engine's outputs, by the names of its tensors."""
        return in_runs(pixels, self.batch, self._run)

    def _run(self, pixels: Pixels) -> Outputs:
        found = self.execute(self.prepare(filled(pixels, self._least)))
        return {name: found[name][: len(pixels)] for name in self._outputs}

    def prepare(self, pixels: Pixels) -> npt.NDArray[Any]:
        """A run's images, uint8 [N, H, W, C] or one [H, W, C], to the engine's own input [N, C, H, W]."""
        batch = pixels.reshape(-1, *pixels.shape[-3:])
        if self._input_type == "uint8":
            return np.ascontiguousarray(batch.transpose(0, 3, 1, 2))
        return self._preprocess.normalise(batch)

    def execute(self, prepared: npt.NDArray[Any]) -> Outputs:
        """Run what :meth:`prepare` returned; the copies to and from the device are part of it."""
        self._engine.upload(prepared)
        self._engine.execute()
        outputs: Outputs = self._engine.download()
        return outputs


def load(
    folder: Path,
    *,
    preprocess: Preprocess,
    input_type: InputType,
    properties: Mapping[str, str],
    threads: int = 1,
    outputs: Sequence[str] = (),
) -> EngineSession:
    """Load the engine that ``build_engine.py`` made of this bundle on this device.

    Args:
        folder: The bundle.
        preprocess: The network's own.
        input_type: ``float32`` or ``uint8``.
        properties: None are known to TensorRT's runtime.
        threads: Without effect: the work is done on the GPU.
        outputs: Those that the manifest names, as the engine's tensors.

    Raises:
        BundleError: The engine has not these outputs.
        MissingRuntimeError: tensorrt, a CUDA device or the engine is absent, or the engine is not of this
            bundle, this TensorRT and this device.
    """
    try:
        trt, cudart = hardware.import_tensorrt(), hardware.load_cudart()
        manifest = sealed.read_bundle(folder)
        path, _ = engines.find_engine(folder, hardware.identify(trt, cudart), artifact(manifest))
        engine = Engine(trt, cudart, path, input_type)
        places = output_places([{name} for name in engine.names], outputs, path)
        return EngineSession(engine, preprocess, input_type, tuple(places))
    except sealed.RefusedError as refusal:
        raise MissingRuntimeError(
            f"no TensorRT engine to run: {refusal}",
            mend=f"on the device, run python3 {folder / 'build_engine.py'}, then try again there; here "
            "`edgeeff eval --via onnxruntime` judges the bundle's ONNX graph",
        ) from None

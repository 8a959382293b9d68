"""A session over an engine, on the device that built it: Python 3.8, numpy, tensorrt and the CUDA runtime."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from edgeeff.backends.tensorrt.device.onboard import built_here, engines, hardware, sealed
from edgeeff.backends.tensorrt.device.onboard.golden import artifact
from edgeeff.backends.tensorrt.device.onboard.running import Engine
from edgeeff.onboard import outputs as onboard_outputs
from edgeeff.onboard.bundles import Facts
from edgeeff.onboard.refusal import Refused
from edgeeff.onboard.runs import Runs, filled, in_runs


class EngineSession:
    """A deserialised engine, run on one CUDA stream."""

    def __init__(self, engine: Engine, preprocess: Any, input_type: str, outputs: Sequence[str]) -> None:
        self._engine = engine
        self._outputs = outputs
        self._preprocess = preprocess
        self._input_type = input_type
        self._least, most = engine.profile[0], engine.profile[2]
        self.batch: Any = Runs(most, self._least < most)

    def infer(self, pixels: Any) -> dict[str, Any]:
        """Raw pixels uint8 [N, H, W, C] to the engine's outputs, by the names of its tensors."""
        return in_runs(pixels, self.batch, self._run)

    def _run(self, pixels: Any) -> dict[str, Any]:
        found = self.execute(self.prepare(filled(pixels, self._least)))
        return {name: found[name][: len(pixels)] for name in self._outputs}

    def prepare(self, pixels: Any) -> Any:
        """A run's images, uint8 [N, H, W, C] or one [H, W, C], to the engine's own input [N, C, H, W]."""
        batch = pixels.reshape(-1, *pixels.shape[-3:])
        if self._input_type == "uint8":
            return np.ascontiguousarray(batch.transpose(0, 3, 1, 2))
        return self._preprocess.normalise(batch)

    def execute(self, prepared: Any) -> dict[str, Any]:
        """Run what :meth:`prepare` returned; the copies to and from the device are part of it."""
        self._engine.upload(prepared)
        self._engine.execute()
        outputs: dict[str, Any] = self._engine.download()
        return outputs


def load(facts: Facts, threads: int) -> EngineSession:
    """Load a bundle's engine; one that is not there, or stale, is built first by the bundle's own script.

    Args:
        facts: Of the bundle.
        threads: Without effect: the work is done on the GPU.

    Raises:
        Refused: tensorrt or a CUDA device is absent, the engine cannot be built, or has other outputs.
    """
    del threads
    try:
        trt, cudart = hardware.import_tensorrt(), hardware.load_cudart()
        here, manifest = hardware.identify(trt, cudart), sealed.read_bundle(facts.folder)
        try:
            path, _ = engines.find_engine(facts.folder, here, artifact(manifest))
        except engines.NoEngineError:
            _build(facts.folder, artifact(manifest), here)
            path, _ = engines.find_engine(facts.folder, here, artifact(manifest))
        return session_over(trt, cudart, path, facts.preprocess, facts.input_type, facts.outputs)
    except sealed.RefusedError as refusal:
        raise Refused(
            "MissingRuntimeError",
            f"no TensorRT engine to run: {refusal}",
            "install what is missing on the board: JetPack brings tensorrt and CUDA",
        ) from None


def module() -> Any:
    """TensorRT.

    Raises:
        Refused: It cannot be imported.
    """
    try:
        return hardware.import_tensorrt()
    except sealed.RefusedError as refusal:
        raise Refused(
            "MissingRuntimeError", f"no TensorRT engine to run: {refusal}", "install JetPack's tensorrt there"
        ) from None


def session_over(
    trt: Any, cudart: Any, path: Path, preprocess: Any, input_type: str, wanted: Sequence[str]
) -> EngineSession:
    """A session over an engine's file; :func:`load` says the rest."""
    engine = Engine(trt, cudart, path, input_type)
    places = onboard_outputs.places([{name} for name in engine.names], wanted, path)
    return EngineSession(engine, preprocess, input_type, tuple(places))


def _build(folder: Path, precision: str, here: hardware.Identity) -> None:
    """Run the bundle's build_engine.py; what it prints goes to standard error."""
    command = [sys.executable, str(folder / "build_engine.py"), "--precision", precision]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno(), check=False)
    if done.returncode:
        raise sealed.RefusedError(f"build_engine.py ended with exit status {done.returncode}")
    # Scripts of older bundles do not note what they build.
    built_here.remember(sealed.digest(folder / engines.engine_name(here, precision)))
    with suppress(OSError):  # of engines that were there before
        (folder / sealed.MEASURED / "verify.json").unlink()

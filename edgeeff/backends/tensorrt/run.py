"""Run a bundle's engine on the device that built it, through tensorrt and the CUDA runtime alone.

The session is that of :mod:`edgeeff.backends.tensorrt.onboard`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from edgeeff.backends.tensorrt import onboard
from edgeeff.backends.tensorrt.device.onboard import engines, hardware, sealed
from edgeeff.backends.tensorrt.device.onboard.golden import artifact
from edgeeff.backends.tensorrt.onboard import EngineSession as EngineSession
from edgeeff.batch import Batch
from edgeeff.errors import MissingRuntimeError, as_told
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
        with as_told():
            session = onboard.session_over(trt, cudart, path, preprocess, input_type, outputs)
        session.batch = Batch(*session.batch)
        return session
    except sealed.RefusedError as refusal:
        raise MissingRuntimeError(
            f"no TensorRT engine to run: {refusal}",
            mend=f"on the device, run python3 {folder / 'build_engine.py'}, then try again there; here "
            "`edgeeff eval --via onnxruntime` judges the bundle's ONNX graph",
        ) from None

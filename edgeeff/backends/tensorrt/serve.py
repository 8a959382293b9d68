"""What Triton needs to serve a bundle: its engine, or the same graph in onnxruntime."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from edgeeff.backends.tensorrt.device.onboard import built_here, sealed
from edgeeff.backends.triton import Served, not_whole
from edgeeff.errors import BundleError, MissingFileError
from edgeeff.manifest import Manifest

#: Of each of Triton's backends what it calls the model.
_MODELS = {"tensorrt": "model.plan", "onnxruntime": "model.onnx"}
#: FP32-typed graphs that onnxruntime can run, the best first: without boxes, quantised, float.
_GRAPHS = ("model.raw.onnx", "model.qdq.onnx", "model.float.onnx")

_FUSED = (
    "onnxruntime joins Q/DQ operators into INT8 kernels of its own: outputs are near those of the graph that "
    "was verified, and not the same; optimization { graph { level: 2 } } in config.pbtxt has it computed as "
    "it is written, slower"
)


def backends() -> tuple[str, ...]:
    """Of Triton's; the first is the one that is taken if none is said."""
    return tuple(_MODELS)


def files(folder: Path, manifest: Manifest, backend: str) -> Served:
    """The model's files by their names below its folder in the repository.

    Raises:
        BundleError: The bundle has no configuration for Triton.
        MissingFileError: No engine has been built, or it is not known to have been built here.
    """
    source = folder / "deploy" / "triton" / backend / manifest.name
    if not (source / "config.pbtxt").is_file():
        raise not_whole(folder, f"has no {source.relative_to(folder)}/config.pbtxt")
    found: dict[str, Path | bytes] = {path.name: path for path in source.iterdir()}
    if backend == "tensorrt":
        model = _engine(folder, manifest)
    else:
        model = next((folder / name for name in _GRAPHS if name in manifest.files), folder / _GRAPHS[1])
    found[f"1/{_MODELS[backend]}"] = model
    return Served(found, (_FUSED,) if backend == "onnxruntime" and manifest.precision == "int8" else ())


def _engine(folder: Path, manifest: Manifest) -> Path:
    """The only engine of the bundle's precision in ``measured/``, which was built on this machine."""
    measured = folder / sealed.MEASURED
    engines = sorted(measured.glob(f"*-{manifest.precision}.engine"))
    build = f"on the machine that is to serve it: python3 build_engine.py --precision {manifest.precision}"
    if not engines:
        raise MissingFileError(
            f"{folder} has no engine, which belongs to one GPU and one TensorRT",
            mend=f"build it in the bundle's folder, {build} --triton FOLDER; or take "
            "--triton-backend onnxruntime",
        )
    if len(engines) > 1:
        raise BundleError(
            f"{measured} has {len(engines)} engines: {', '.join(path.name for path in engines)}",
            mend="leave the one of the server's GPU and TensorRT there",
        )
    (engine,) = engines
    digest = sealed.digest(engine)
    if _recorded(engine).get("engine_sha256") != digest:
        raise BundleError(f"{engine} is not what was built", mend=f"build it again, {build}")
    if not built_here.is_known(digest):
        raise BundleError(
            f"{engine} was not built by this user on this machine, and an engine can do anything",
            mend=f"build it {build}; or, if you know where it comes from: {built_here.trusting(digest)}",
        )
    return engine


def _recorded(engine: Path) -> Mapping[str, object]:
    try:
        found = json.loads(engine.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}

#!/usr/bin/env python3
"""Build this bundle's TensorRT engine, on the device that will run it.

Needs Python 3.8 or later and the tensorrt module that JetPack installs; nothing else. An engine belongs to
one TensorRT version and one compute capability, so it is built here and never copied to another board. It
lands in measured/, under a name that holds both, with a timing cache and an engine.json beside it.

TensorRT below 10.12 builds model.qdq.onnx with the INT8 and FP16 flags; 10.12 and later build
model.qdq.fp16.onnx as a strongly typed network. There is no FP16 control engine: without onnx on the device
the Q/DQ cannot be taken out of the graph.
"""

from __future__ import annotations

import argparse
import ctypes
import ctypes.util
import hashlib
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

STRONGLY_TYPED_FROM = (10, 12)  # where TensorRT deprecated the INT8 and FP16 flags; 11 has none
RANGE = ((8, 5), (12, 0))
MEASURED = "measured"


class RefusedError(Exception):
    """Why nothing can be done here; one line, exit status 2."""


class Recipe(NamedTuple):
    """What a TensorRT version builds: the file, and whether its types are those of the file."""

    onnx: str
    strongly_typed: bool


def parse_version(text: str) -> tuple[int, int]:
    """Major and minor of a version such as ``10.3.0.26``."""
    try:
        major, minor = (int(part) for part in [*text.split("."), "0"][:2])
    except ValueError:
        raise RefusedError(f"{text!r} is not a TensorRT version; write one such as 10.3") from None
    if not RANGE[0] <= (major, minor) < RANGE[1]:
        raise RefusedError(f"TensorRT {text} is outside of 8.5 to 11, which this bundle is for")
    return major, minor


def recipe(version: tuple[int, int]) -> Recipe:
    """The file and the typing for a TensorRT version."""
    if version >= STRONGLY_TYPED_FROM:
        return Recipe("model.qdq.fp16.onnx", True)
    return Recipe("model.qdq.onnx", False)


def trtexec(version: tuple[int, int], engine: str, workspace: int) -> list[str]:
    """The trtexec line that builds the same engine, to be run in the bundle's folder (``workspace`` in MiB).

    Read in trtexec's own source: 8.5 says --buildOnly for what 8.6 and later call --skipInference, and
    --stronglyTyped, which excludes --int8 and --fp16, has no effect from 11 on.
    """
    chosen = recipe(version)
    types = ["--stronglyTyped"] if chosen.strongly_typed else ["--int8", "--fp16"]
    return [
        "trtexec",
        f"--onnx={chosen.onnx}",
        *([] if version >= (11, 0) else types),
        f"--memPoolSize=workspace:{workspace}",
        f"--timingCacheFile={engine[: -len('.engine')]}.timing",
        f"--saveEngine={engine}",
        "--skipInference" if version >= (8, 6) else "--buildOnly",
    ]


def read_bundle(folder: Path) -> dict[str, Any]:
    """The manifest, once every sealed file has been found to have its SHA-256."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        altered = [name for name, seal in manifest["files"].items() if digest(folder / name) != seal]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RefusedError(f"{folder} is not a whole bundle ({error}); copy it again") from None
    if altered:
        raise RefusedError(f"{', '.join(altered)} is not what manifest.json sealed; copy the bundle again")
    return dict(manifest)


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def import_tensorrt() -> Any:
    """The tensorrt module."""
    try:
        import tensorrt
    except ImportError as error:
        raise RefusedError(
            f"tensorrt cannot be imported ({error}); run this where JetPack installed it"
        ) from None
    return tensorrt


def load_cudart() -> Any:
    """The CUDA runtime library, through ctypes."""
    names = [ctypes.util.find_library("cudart"), "libcudart.so", "/usr/local/cuda/lib64/libcudart.so"]
    names += [f"libcudart.so.{version}" for version in ("13", "12", "11.0")]
    for name in names:
        if name:
            try:
                return ctypes.CDLL(name)
            except OSError:
                continue
    raise RefusedError("no CUDA runtime (libcudart) here; run this on the device")


def compute_capability(cudart: Any) -> str:
    """Of the first device, such as ``8.7`` for Orin."""
    value = ctypes.c_int()
    parts = []
    for attribute in (75, 76):  # cudaDevAttrComputeCapabilityMajor and Minor
        if cudart.cudaDeviceGetAttribute(ctypes.byref(value), attribute, 0) != 0:
            raise RefusedError("no CUDA device answers; run this on the device")
        parts.append(str(value.value))
    return ".".join(parts)


def engine_name(tensorrt_version: str, capability: str) -> str:
    """Below the bundle: ``measured/trt10.3.0-sm87.engine``."""
    return f"{MEASURED}/trt{tensorrt_version}-sm{capability.replace('.', '')}.engine"


def jetpack() -> str:
    """The board's L4T release as it says it, or an empty string elsewhere."""
    try:
        return Path("/etc/nv_tegra_release").read_text(encoding="utf-8").splitlines()[0]
    except (OSError, IndexError):
        return ""


def build(folder: Path, trt: Any, workspace: int, verbose: bool) -> Path:
    """Build the engine and write it to measured/ with its timing cache and record; returns its path."""
    chosen = recipe(parse_version(trt.__version__))
    read_bundle(folder)
    capability = compute_capability(load_cudart())
    logger = trt.Logger(trt.Logger.VERBOSE if verbose else trt.Logger.WARNING)
    builder = trt.Builder(logger)
    network = builder.create_network(network_flags(trt, chosen))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse((folder / chosen.onnx).read_bytes()):
        reasons = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise RefusedError(f"TensorRT {trt.__version__} does not take {chosen.onnx}: {reasons}")
    engine = folder / engine_name(trt.__version__, capability)
    engine.parent.mkdir(exist_ok=True)
    timing = engine.with_suffix(".timing")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace << 20)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if not chosen.strongly_typed:
        config.set_flag(trt.BuilderFlag.INT8)
        config.set_flag(trt.BuilderFlag.FP16)
    cache = config.create_timing_cache(timing.read_bytes() if timing.is_file() else b"")
    config.set_timing_cache(cache, False)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise RefusedError(f"TensorRT {trt.__version__} could not build the engine; --verbose says why")
    record = {
        "compute_capability": capability,
        "engine_sha256": hashlib.sha256(plan).hexdigest(),
        "jetpack": jetpack(),
        "onnx": chosen.onnx,
        "onnx_sha256": digest(folder / chosen.onnx),
        "strongly_typed": chosen.strongly_typed,
        "tensorrt": trt.__version__,
    }
    write(engine, plan)
    write(timing, config.get_timing_cache().serialize())
    write(engine.with_suffix(".json"), json.dumps(record, indent=2).encode() + b"\n")
    return engine


def find_engine(folder: Path, tensorrt_version: str, capability: str) -> tuple[Path, dict[str, Any]]:
    """The engine that was built here from this very bundle, and its record."""
    engine = folder / engine_name(tensorrt_version, capability)
    try:
        record = json.loads(engine.with_suffix(".json").read_text(encoding="utf-8"))
        whole = digest(engine) == record["engine_sha256"]
        ours = digest(folder / record["onnx"]) == record["onnx_sha256"]
    except OSError:
        raise RefusedError(
            f"no engine for TensorRT {tensorrt_version} and compute {capability}; run build_engine.py"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise RefusedError(
            f"{engine.name}: its record is damaged ({error}); run build_engine.py again"
        ) from None
    if not whole or not ours:
        raise RefusedError(
            f"{engine.name} was altered or built from another bundle; run build_engine.py again"
        )
    return engine, dict(record)


def network_flags(trt: Any, chosen: Recipe) -> int:
    """The bits of create_network: the enumerators come and go between versions, what they mean does not."""
    flags = trt.NetworkDefinitionCreationFlag
    names = ["STRONGLY_TYPED"] if chosen.strongly_typed else []
    names.append("EXPLICIT_BATCH")
    return sum(1 << int(getattr(flags, name)) for name in names if hasattr(flags, name))


def write(path: Path, content: Any) -> None:
    """Write a file whole or not at all."""
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.write_bytes(content)
    unfinished.replace(path)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--workspace", type=int, default=1024, metavar="MIB", help="memory for tactics [1024]"
    )
    parser.add_argument("--verbose", action="store_true", help="everything that TensorRT says")
    parser.add_argument(
        "--print-trtexec", action="store_true", help="print the trtexec line and build nothing"
    )
    parser.add_argument("--tensorrt-version", metavar="X.Y", help="for --print-trtexec without tensorrt")
    options = parser.parse_args()
    folder = Path(__file__).resolve().parent
    try:
        if options.tensorrt_version and not options.print_trtexec:
            raise RefusedError(
                "--tensorrt-version goes with --print-trtexec; a build uses the version it finds"
            )
        if options.print_trtexec:
            full = options.tensorrt_version or import_tensorrt().__version__
            print(" ".join(trtexec(parse_version(full), engine_name(full, "XX"), options.workspace)))
        else:
            engine = build(folder, import_tensorrt(), options.workspace, options.verbose)
            print(f"built {engine}; verify.py is next")
    except (RefusedError, OSError) as refusal:
        print(f"build_engine.py: {refusal}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Run this bundle's golden inputs through the engine that build_engine.py built, and time it.

Needs Python 3.8 or later, numpy and the tensorrt module that JetPack installs; nothing else. What is found
goes to measured/verify.json and to the screen. Exit status 0: the engine does what the bundle promises;
1: its signal-to-noise ratio to the reference is below 19 dB; 2: it could not be run, and one line says why.

For latencies that can be compared, pin the power mode (nvpmodel -m) and run jetson_clocks first.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import sys
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np

# In a bundle the two scripts lie beside each other; in edgeeff they are modules of one package.
if __package__:
    from . import build_engine
else:
    import build_engine  # type: ignore[import-not-found,no-redef]

TOLERANCE = 19.0
"""dB: the least that INT8 kernels of another make keep of the hub graph's outputs."""

LOUDEST = 200.0
"""dB: what equal outputs are said to have, JSON having no infinity."""

_TO_DEVICE, _FROM_DEVICE = 1, 2


class Engine:
    """A deserialised engine with its input and output in CUDA memory.

    The tensors are addressed by name: that interface is in every TensorRT from 8.5 to 11, while the older
    one by binding is gone since 10.

    Args:
        trt: The tensorrt module.
        cudart: The CUDA runtime, from ``build_engine.load_cudart``.
        path: The engine's file.
        input_type: ``float32`` or ``uint8``, as the manifest says.
    """

    def __init__(self, trt: Any, cudart: Any, path: Path, input_type: str) -> None:
        self._cudart = cudart
        self._logger = trt.Logger(trt.Logger.WARNING)
        self._runtime = trt.Runtime(self._logger)
        self.engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
        if self.engine is None:
            raise build_engine.RefusedError(
                f"TensorRT {trt.__version__} does not take {path.name}; run build_engine.py again"
            )
        self._context = self.engine.create_execution_context()
        names = [self.engine.get_tensor_name(i) for i in range(self.engine.num_io_tensors)]
        inputs = [n for n in names if self.engine.get_tensor_mode(n) == trt.TensorIOMode.INPUT]
        outputs = [n for n in names if n not in inputs]
        if len(inputs) != 1 or len(outputs) != 1:
            raise build_engine.RefusedError(
                f"{path.name} has tensors {', '.join(names)}; expected one input and one output"
            )
        self.input_shape = tuple(self.engine.get_tensor_shape(inputs[0]))
        self.input_dtype = np.dtype(input_type)
        self._output = np.empty(tuple(self.engine.get_tensor_shape(outputs[0])), np.float32)
        self._input_bytes = int(np.prod(self.input_shape)) * self.input_dtype.itemsize
        self._source, self._result, self._stream = (ctypes.c_void_p() for _ in range(3))
        self._call("cudaMalloc", ctypes.byref(self._source), ctypes.c_size_t(self._input_bytes))
        self._call("cudaMalloc", ctypes.byref(self._result), ctypes.c_size_t(self._output.nbytes))
        self._call("cudaStreamCreate", ctypes.byref(self._stream))
        weakref.finalize(self, _release, cudart, (self._source, self._result), self._stream)
        self._context.set_tensor_address(inputs[0], self._source.value)
        self._context.set_tensor_address(outputs[0], self._result.value)

    def upload(self, values: Any) -> None:
        """Copy one native input, [1, 3, H, W], to the device."""
        values = np.ascontiguousarray(values, self.input_dtype)
        if values.shape != self.input_shape:
            raise build_engine.RefusedError(
                f"the engine takes input {self.input_shape}, this is {values.shape}"
            )
        self._copy(self._source, values.ctypes.data_as(ctypes.c_void_p), values.nbytes, _TO_DEVICE)

    def execute(self) -> None:
        """Run on what was uploaded, and wait for the end."""
        if not self._context.execute_async_v3(self._stream.value):
            raise build_engine.RefusedError("the engine did not run; TensorRT's message above says why")
        self._call("cudaStreamSynchronize", self._stream)

    def download(self) -> Any:
        """The output of the last run, float32 [1, classes]."""
        result = np.empty_like(self._output)
        self._copy(result.ctypes.data_as(ctypes.c_void_p), self._result, result.nbytes, _FROM_DEVICE)
        return result

    def _copy(self, to: Any, source: Any, size: int, kind: int) -> None:
        self._call("cudaMemcpyAsync", to, source, ctypes.c_size_t(size), ctypes.c_int(kind), self._stream)
        self._call("cudaStreamSynchronize", self._stream)

    def _call(self, function: str, *arguments: Any) -> None:
        status = getattr(self._cudart, function)(*arguments)
        if status != 0:
            raise build_engine.RefusedError(f"{function} failed with CUDA error {status}")


def _release(cudart: Any, buffers: tuple[Any, ...], stream: Any) -> None:
    for buffer in buffers:
        cudart.cudaFree(buffer)
    cudart.cudaStreamDestroy(stream)


def native_input(pixels: Any, preprocess: dict[str, Any], input_type: str) -> Any:
    """Raw pixels uint8 [H, W, 3] to the engine's input [1, 3, H, W]: normalised where that is float32."""
    if input_type == "float32":
        mean, std = (np.asarray(preprocess[key], np.float32) for key in ("mean", "std"))
        pixels = (pixels.astype(np.float32) - mean) / std
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])


def sqnr(reference: Any, outputs: Any) -> float:
    """10·log10(Σ reference² / Σ error²) over everything, dB; -LOUDEST if an output is not a number."""
    reference, outputs = reference.astype(np.float64), outputs.astype(np.float64)
    if not np.isfinite(outputs).all():
        return -LOUDEST
    signal, noise = float((reference**2).sum()), float(((outputs - reference) ** 2).sum())
    if noise == 0:
        return LOUDEST
    return 10 * float(np.log10(max(signal / noise, 10 ** (-LOUDEST / 10))))


def load_golden(folder: Path) -> tuple[Any, Any, Any]:
    """The golden pixels uint8 [N, H, W, 3], and the outputs [N, classes] of hub and float graph."""
    try:
        inputs, hub, reference = (
            np.load(folder / "golden" / f"{name}.npy", allow_pickle=False)
            for name in ("inputs", "hub", "float")
        )
    except (OSError, ValueError) as error:
        raise build_engine.RefusedError(
            f"the golden inputs cannot be read ({error}); build the bundle with --golden"
        ) from None
    return inputs, hub, reference


def compare(outputs: Any, hub: Any, reference: Any) -> dict[str, Any]:
    """The figures that tell whether the engine does what the bundle promises."""
    found: dict[str, Any] = {"images": len(outputs)}
    for name, expected in (("hub", hub), ("float", reference)):
        found[f"sqnr_{name}_db"] = round(sqnr(expected, outputs), 2)
        found[f"agreement_{name}"] = float((outputs.argmax(axis=1) == expected.argmax(axis=1)).mean())
    # A hub that itself lies further than that from the float graph can ask for no more than its distance.
    found["tolerance_db"] = round(min(TOLERANCE, sqnr(reference, hub)), 2)
    found["passed"] = found["sqnr_hub_db"] >= found["tolerance_db"]
    return found


def time_engine(engine: Engine, runs: int) -> dict[str, Any]:
    """Latency of the engine alone, input and output staying on the device, ms."""
    for _ in range(max(runs // 5, 10)):
        engine.execute()
    elapsed = []
    for _ in range(runs):
        start = time.perf_counter()
        engine.execute()
        elapsed.append((time.perf_counter() - start) * 1e3)
    return {"runs": runs, **{f"p{p}": round(float(np.percentile(elapsed, p)), 4) for p in (50, 90, 99)}}


def verify(folder: Path, runs: int) -> dict[str, Any]:
    """Everything of measured/verify.json."""
    manifest = build_engine.read_bundle(folder)
    trt, cudart = build_engine.import_tensorrt(), build_engine.load_cudart()
    path, record = build_engine.find_engine(folder, trt.__version__, build_engine.compute_capability(cudart))
    inputs, hub, reference = load_golden(folder)
    engine = Engine(trt, cudart, path, manifest["input"])
    outputs = []
    for pixels in inputs:
        engine.upload(native_input(pixels, manifest["preprocess"], manifest["input"]))
        engine.execute()
        outputs.append(engine.download()[0])
    return {
        "bundle": manifest["name"],
        "manifest_sha256": build_engine.digest(folder / "manifest.json"),
        "engine": record,
        "golden": compare(np.stack(outputs), hub, reference),
        "latency_ms": time_engine(engine, runs),
    }


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=500, metavar="N", help="timed runs [500]")
    options = parser.parse_args()
    folder = Path(__file__).resolve().parent
    try:
        if options.runs < 1:
            raise build_engine.RefusedError("--runs takes a number of at least 1")
        found = verify(folder, options.runs)
        build_engine.write(folder / "measured" / "verify.json", json.dumps(found, indent=2).encode() + b"\n")
    except (build_engine.RefusedError, OSError) as refusal:
        print(f"verify.py: {refusal}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    golden, latency = found["golden"], found["latency_ms"]
    print(f"{golden['images']} golden images: {golden['sqnr_hub_db']} dB to the hub, top-1 agreement")
    print(f"  {golden['agreement_hub']:.0%} with the hub and {golden['agreement_float']:.0%} with float")
    print(f"latency p50 {latency['p50']} ms, p90 {latency['p90']} ms, p99 {latency['p99']} ms")
    print("PASSED" if golden["passed"] else f"FAILED: below {golden['tolerance_db']} dB")
    return 0 if golden["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())

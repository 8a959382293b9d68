"""What TensorRT-RTX's compiler makes of a network by several placements of Q/DQ, and in FP16, without a GPU.

    python -m benchmarks.tensorrt_plans BUNDLE … [--graph NAME=FILE.onnx …] [--onnxruntime] [--capability 86]
        [--json FILE]

BUNDLE is of ``jetson-int8`` or ``gpu-int8``, perhaps with the variants of ``edgeeff build --autotune``.
``--onnxruntime`` places Q/DQ as ``quantize_static`` does (INT8, symmetric, per channel); ``--graph`` takes a
graph that another tool made of the bundle's ``model.float.onnx``, such as ModelOpt's
(``benchmarks/peers/modelopt_placement.py``, in an environment of its own). All graphs are typed FP16.

Kernels are those of the compiler's plan, by what they read: ``INT8`` and ``FP16`` are convolutions and matrix
products, ``pointwise`` are all others, and of those ``convert`` only change types, ranges or layouts.
``moved`` is what all kernels read and write of activations, ``engine`` the compiled engine and ``zeros`` its
pages that hold nothing but zeros. A plan is not a time, and TensorRT-RTX is not the TensorRT of a Jetson:
NOT RUN.
"""

from __future__ import annotations

import math
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from benchmarks.table import arguments, show, write_json
from edgeeff.backends.tensorrt import rtx
from edgeeff.backends.tensorrt.fp16 import fp16_from_fp32
from edgeeff.bundle import Bundle
from edgeeff.errors import VerificationError

PAGE = 4096
BYTES = {"Float": 4, "Half": 2, "BFloat16": 2, "Int32": 4, "Int8": 1, "UInt8": 1, "Bool": 1}
LAYERS = ("correlation", "gemm", "runtime_fusion")
COLUMNS = (
    *("kernels", "INT8", "FP16", "FP32", "pointwise", "convert"),
    *("moved_MB", "engine_MB", "zeros_MB"),
)
#: What a generated kernel's name is made of that computes nothing of the network.
CONVERTING = {"Cast", "Tran", "Conc", "Resh", "Move", "Copy", "Slic", "Min", "Max", "Mul", "Roun", "Pad"}


def measure(network: str, name: str, path: Path, capability: str) -> dict[str, Any]:
    """Compile one graph and count; what the compiler refuses has no figures."""
    try:
        plan = rtx.compile_graph(path, capability)
    except VerificationError as error:
        print(f"{network}, {name}: {error.what}")
        return {"network": network, "graph": name, **dict.fromkeys(COLUMNS)}
    types: Counter[str] = Counter()
    converting = 0
    for kernel in plan.kernels:
        layer = kernel.operator in LAYERS
        types[{"Int8": "INT8", "Half": "FP16"}.get(kernel.precision, "FP32") if layer else "pointwise"] += 1
        converting += not layer and _converts(kernel.kernel)
    return {
        "network": network,
        "graph": name,
        "kernels": len(plan.kernels),
        "INT8": types["INT8"],
        "FP16": types["FP16"],
        "FP32": types["FP32"],
        "pointwise": types["pointwise"],
        "convert": converting,
        "moved_MB": sum(_moved(line) for line in plan.described) / 1e6,
        "engine_MB": len(plan.engine) / 1e6,
        "zeros_MB": _zeros(plan.engine) / 1e6,
    }


def _converts(kernel: str) -> bool:
    """Whether a generated kernel's steps are all of types, ranges and layouts; a clamp alone is one."""
    found = re.match(r"__myl_([A-Za-z]+)", kernel)
    return found is not None and {*re.findall("[A-Z][a-z]+", found[1])} <= CONVERTING


def _moved(line: str) -> int:
    """Bytes of the activations that a kernel reads and writes; its constants are no activations."""
    without = re.sub(r"Constants: \[.*?\], Outputs: \[", "Outputs: [", line)
    tensors = re.findall(r"Dimensions: \[([\d,]*)\][^}]*?Datatype: (\w+)", without)
    return sum(math.prod(int(d) for d in shape.split(",") if d) * BYTES[kind] for shape, kind in tensors)


def _zeros(engine: bytes) -> int:
    pages = np.frombuffer(engine[: len(engine) // PAGE * PAGE], np.uint8).reshape(-1, PAGE)
    return int((~pages.any(axis=1)).sum()) * PAGE


def graphs_of(bundle: Bundle, options: Any, scratch: Path) -> Iterator[tuple[str, Path]]:
    """The graphs that are compared, by what they are called."""
    yield "FP16, no Q/DQ", bundle.folder / "model.float.fp16.onnx"
    yield "ours", bundle.folder / "model.qdq.fp16.onnx"
    for variant in bundle.manifest.carrying.variants if bundle.manifest.carrying else ():
        yield f"ours: {variant.name}", bundle.folder / f"model.qdq.{variant.slug}.fp16.onnx"
    if options.onnxruntime:
        yield "onnxruntime's placement", _by_onnxruntime(bundle.folder / "model.float.onnx", scratch)
    for name, file in (given.split("=", 1) for given in options.graph):
        yield name, Path(file)


def _by_onnxruntime(graph: Path, scratch: Path) -> Path:
    """Placed by onnxruntime by its defaults, but for what TensorRT asks: symmetric INT8, float biases."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    source = onnx.load(graph).graph.input[0]
    shape = [d.dim_value or 1 for d in source.type.tensor_type.shape.dim]

    class Noise(CalibrationDataReader):  # type: ignore[misc]
        """Ranges do not matter to a plan."""

        def __init__(self) -> None:
            values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
            self._left: list[Mapping[str, Any]] = [{source.name: values}]

        def get_next(self) -> Mapping[str, Any] | None:
            return self._left.pop() if self._left else None

    placed, half = scratch / "placed.onnx", scratch / "placed.fp16.onnx"
    quantize_static(
        str(graph),
        str(placed),
        Noise(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        extra_options={"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False},
    )
    onnx.save(fp16_from_fp32(onnx.load(placed)), half)
    return half


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("bundle", type=Path, nargs="+")
    parser.add_argument("--graph", action="append", default=[], metavar="NAME=FILE", help="another tool's")
    parser.add_argument("--onnxruntime", action="store_true", help="place Q/DQ by onnxruntime, too")
    parser.add_argument("--capability", default=rtx.AMPERE, help="to compile for [86]")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    for folder in options.bundle:
        bundle = Bundle.load(folder)
        with tempfile.TemporaryDirectory() as scratch:
            for name, path in graphs_of(bundle, options, Path(scratch)):
                rows.append(measure(bundle.manifest.model, name, path, options.capability))
    sizes = dict.fromkeys(("moved_MB", "engine_MB", "zeros_MB"), ".1f")
    show(f"TensorRT-RTX {rtx.version()}, compiled for SM{options.capability}; NOT RUN", rows, sizes)
    write_json(options.json, rows, options=vars(options), tensorrt_rtx=rtx.version())


if __name__ == "__main__":
    main()

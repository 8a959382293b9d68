"""How far up the ladder of honest claims a TensorRT bundle gets on this machine.

1. ``emit`` held both graphs against onnx's checker and :mod:`edgeeff.backends.tensorrt.rules`.
2. NVIDIA's parser accepts both (by the optional TensorRT-RTX wheel, which needs no GPU).
3. NVIDIA's compiler makes an INT8 kernel for SM86 of every layer of the strongly typed graph that reads
   quantised values. Nothing follows from it for the speed of a Jetson.
6. ``verify.py`` ran the engine on a device, and it passed.

(Rungs 0, 4 and 5 are claims about this code, not about a bundle.)
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgeeff.backends import CheckReport, Layer
from edgeeff.backends.tensorrt import rtx
from edgeeff.backends.tensorrt.device import build_engine
from edgeeff.errors import BundleError

_GRAPHS = ("model.qdq.onnx", "model.qdq.fp16.onnx")


def check(folder: Path, *, properties: Mapping[str, str]) -> CheckReport:
    """Take a bundle as far up the ladder as this machine can.

    ``status`` is ``ok`` only where a ``measured/verify.json`` of a device says that this very bundle passed;
    ``fallback`` where NVIDIA's compiler leaves a layer meant for INT8 in another type; else ``NOT RUN``.
    ``counts`` holds the highest ``rung``, and from rung 3 on ``int8_layers`` of ``quantised_layers``.

    Raises:
        BundleError: A graph is missing.
        VerificationError: NVIDIA's parser refuses a graph, or its compiler cannot build it.
    """
    absent = [name for name in _GRAPHS if not (folder / name).is_file()]
    if absent:
        raise BundleError(f"{folder} has no {' and no '.join(absent)}", mend="build the bundle again")
    claims = ["meets the known rules of TensorRT 8.5 to 11"]
    counts = {"rung": 1}
    kernels: Sequence[Layer] = ()
    fallbacks: Sequence[str] = ()
    if rtx.available():
        for name in _GRAPHS:
            rtx.accept(folder / name)
        claims.append(f"accepted by NVIDIA's parser (TensorRT-RTX {rtx.version()})")
        plan = rtx.compile_graph(folder / _GRAPHS[1])
        kernels, fallbacks = plan.kernels, plan.fallbacks()
        intended = len(plan.intended)
        counts = {"rung": 2, "quantised_layers": intended, "int8_layers": intended - len(fallbacks)}
        if fallbacks:
            claims.append(
                f"{len(fallbacks)} quantised layers are no INT8 kernel for {rtx.COMPUTE_CAPABILITY}"
            )
        else:
            counts["rung"] = 3
            claims.append(f"compiles as strongly typed INT8 for {rtx.COMPUTE_CAPABILITY}")
    ran, engine = _engine(folder)
    if ran:
        counts["rung"] = 6
    return CheckReport(
        status="fallback" if fallbacks else "ok" if ran else "NOT RUN",
        summary=f"{'; '.join(claims)}; {engine}",
        counts=counts,
        fallbacks=fallbacks,
        layers=kernels,
    )


def _engine(folder: Path) -> tuple[bool, str]:
    """Whether a device's measured/verify.json says that this bundle's engine passed, and a sentence on it."""
    try:
        found = json.loads((folder / build_engine.MEASURED / "verify.json").read_text(encoding="utf-8"))
        board = f"TensorRT {found['engine']['tensorrt']}, compute {found['engine']['compute_capability']}"
        if found["manifest_sha256"] != build_engine.digest(folder / "manifest.json"):
            return False, f"engine NOT RUN: the result of {board} is of another bundle"
        if not found["golden"]["passed"]:
            return False, f"engine FAILED on its device ({board}): {found['golden']['sqnr_hub_db']} dB"
        return True, f"engine passed on its device ({board}): {found['golden']['sqnr_hub_db']} dB to the hub"
    except (OSError, ValueError, KeyError, TypeError):
        return False, "engine NOT RUN: on the device, run build_engine.py and then verify.py"

"""A bundle's golden inputs through an engine, and whether it does what the bundle promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .running import Engine
from .sealed import RefusedError

TOLERANCE = {"int8": 19.0, "fp16": 25.0}
"""dB: the least that INT8 kernels of another make keep of the hub graph's outputs, and that FP16 keeps of the
float graph's (onnxruntime's FP16 of a B0 keeps 52)."""

LOUDEST = 200.0
"""dB: what equal outputs are said to have, JSON having no infinity."""


def load(folder: Path) -> tuple[Any, Any, Any]:
    """The golden pixels uint8 [N, H, W, 3], and the outputs [N, classes] of hub and float graph."""
    try:
        inputs, hub, reference = (
            np.load(folder / "golden" / f"{name}.npy", allow_pickle=False)
            for name in ("inputs", "hub", "float")
        )
    except (OSError, ValueError) as error:
        raise RefusedError(
            f"the golden inputs cannot be read ({error}); build the bundle with --golden"
        ) from None
    return inputs, hub, reference


def native_input(pixels: Any, preprocess: dict[str, Any], input_type: str) -> Any:
    """Raw pixels uint8 [H, W, 3] to the engine's input [1, 3, H, W]: normalised where that is float32."""
    if input_type == "float32":
        mean, std = (np.asarray(preprocess[key], np.float32) for key in ("mean", "std"))
        pixels = (pixels.astype(np.float32) - mean) / std
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])


def run(engine: Engine, inputs: Any, preprocess: dict[str, Any], input_type: str) -> Any:
    """The engine's outputs, float32 [N, classes], of raw pixels uint8 [N, H, W, 3]."""
    outputs = []
    for pixels in inputs:
        engine.upload(native_input(pixels, preprocess, input_type))
        engine.execute()
        outputs.append(engine.download()[0])
    return np.stack(outputs)


def compare(precision: str, outputs: Any, hub: Any, reference: Any) -> dict[str, Any]:
    """The figures that tell whether an engine does what the bundle promises.

    INT8 is held against the hub graph, the FP16 control against the float one.
    """
    found: dict[str, Any] = {"images": len(outputs)}
    for name, expected in (("hub", hub), ("float", reference)):
        found[f"sqnr_{name}_db"] = round(sqnr(expected, outputs), 2)
        found[f"agreement_{name}"] = float((outputs.argmax(axis=1) == expected.argmax(axis=1)).mean())
    found["tolerance_db"] = tolerance(precision, hub, reference)
    found["passed"] = (
        found["sqnr_hub_db" if precision == "int8" else "sqnr_float_db"] >= found["tolerance_db"]
    )
    return found


def tolerance(precision: str, hub: Any, reference: Any) -> float:
    """dB that are asked for; of a hub that lies further from the float graph no more than its distance."""
    floor = TOLERANCE[precision]
    return round(min(floor, sqnr(reference, hub)) if precision == "int8" else floor, 2)


def artifact(manifest: dict[str, Any]) -> str:
    """The precision that the bundle is for; the other one, where there is one, is its control."""
    return "fp16" if manifest.get("precision") == "fp16" else "int8"


def passed(manifest: dict[str, Any], compared: dict[str, Any]) -> bool:
    """Whether the bundle does what it promises; its own precision decides, unless the control alone ran."""
    decisive = compared.get(artifact(manifest)) or next(iter(compared.values()))
    return bool(decisive["passed"])


def sqnr(reference: Any, outputs: Any) -> float:
    """10·log10(Σ reference² / Σ error²) over everything, dB; -LOUDEST if an output is not a number."""
    reference, outputs = reference.astype(np.float64), outputs.astype(np.float64)
    if not np.isfinite(outputs).all():
        return -LOUDEST
    signal, noise = float((reference**2).sum()), float(((outputs - reference) ** 2).sum())
    if noise == 0:
        return LOUDEST
    return 10 * float(np.log10(max(signal / noise, 10 ** (-LOUDEST / 10))))

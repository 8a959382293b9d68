"""A bundle's golden inputs through an engine, and whether it does what the bundle promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .running import Engine
from .sealed import RefusedError


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


def artifact(manifest: dict[str, Any]) -> str:
    """The precision that the bundle is for; the other one, where there is one, is its control."""
    return "fp16" if manifest.get("precision") == "fp16" else "int8"


def passed(manifest: dict[str, Any], compared: dict[str, Any]) -> bool:
    """Whether the bundle does what it promises; its own precision decides, unless the control alone ran."""
    decisive = compared.get(artifact(manifest)) or next(iter(compared.values()))
    return bool(decisive["passed"])

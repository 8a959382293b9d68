"""A bundle's golden inputs through an engine, and whether it does what the bundle promises."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import rule
from .running import Engine
from .sealed import RefusedError


def load(
    folder: Path, manifest: dict[str, Any], variant: str = ""
) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """The golden pixels uint8 [N, H, W, C], and hub and float graph's outputs [N, …] by their names.

    The hub graph is that of a ``variant`` where one is named.
    """
    hub_folder = f"variants/{variant}" if variant else "hub"
    names = [output["name"] for output in manifest.get("outputs") or ()]
    try:
        inputs = _read(folder / "golden" / "inputs.npy")
        if not names:  # a bundle of schema 1, whose only output is not named
            hubs, references = ({"": _read(folder / "golden" / f"{kind}.npy")} for kind in ("hub", "float"))
        else:
            hubs, references = (
                {name: _read(folder / "golden" / kind / rule.file_of(name)) for name in names}
                for kind in (hub_folder, "float")
            )
        for name, hub in hubs.items():
            reference = references[name]
            if (
                {hub.dtype.kind, reference.dtype.kind} != {"f"}
                or hub.ndim < 2
                or hub.shape != reference.shape
            ):
                raise ValueError(f"outputs {hub.dtype} {hub.shape}, {reference.dtype} {reference.shape}")
            if inputs.ndim != 4 or len(inputs) != len(hub) or not len(hub):
                raise ValueError(f"inputs {inputs.shape} and outputs {hub.shape}")
    except (OSError, ValueError) as error:
        raise RefusedError(
            f"the golden inputs cannot be read ({error}); build the bundle with --golden"
        ) from None
    return inputs, hubs, references


def _read(path: Path) -> Any:
    return np.load(path, allow_pickle=False)


def native_input(pixels: Any, preprocess: dict[str, Any], input_type: str) -> Any:
    """Raw pixels uint8 [N, H, W, C] to the engine's input [N, C, H, W]: normalised where that is float32."""
    if input_type == "float32":
        mean, std = (np.asarray(preprocess[key], np.float32) for key in ("mean", "std"))
        pixels = (pixels.astype(np.float32) - mean) / std
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


def runs(images: int, profile: Sequence[int]) -> list[Any]:
    """The numbers of the golden images of each run.

    Every place of a run is held against what belongs there: runs are full, with images from the first again
    where there are too few. An engine that takes fewer is run with the least, too.

    Args:
        images: How many golden images there are.
        profile: The least, best and greatest number of images in a run.
    """
    least, best, _ = profile
    full = np.arange(images + -images % best) % images
    return [*full.reshape(-1, best), *([np.arange(least) % images] if least < best else [])]


def taken(outputs: dict[str, Any], numbers: list[Any]) -> dict[str, Any]:
    """The outputs of the images of some runs, one after another."""
    return {name: values[np.concatenate(numbers)] for name, values in outputs.items()}


def run(engine: Engine, inputs: Any, manifest: dict[str, Any]) -> dict[str, Any]:
    """The engine's outputs, float32 [N, …] by the manifest's names, of raw pixels uint8 [M, H, W, C].

    They are of the images that :func:`runs` says, one after another.
    """
    names = [output["name"] for output in manifest.get("outputs") or ()]
    rows: list[dict[str, Any]] = []
    for numbers in runs(len(inputs), engine.profile):
        engine.upload(native_input(inputs[numbers], manifest["preprocess"], manifest["input"]))
        engine.execute()
        rows.append(engine.download())
    held = engine.names
    if not names and len(held) == 1:  # a bundle of schema 1
        return {"": np.concatenate([row[held[0]] for row in rows])}
    if not names or set(names) - set(held):
        raise RefusedError(
            f"the engine has the outputs {', '.join(held)}, the manifest names {', '.join(names) or 'none'}; "
            "run build_engine.py again"
        )
    return {name: np.concatenate([row[name] for row in rows]) for name in names}


def compare(
    precision: str, manifest: dict[str, Any], outputs: Any, hub: Any, reference: Any
) -> dict[str, Any]:
    """All outputs of an engine against the golden ones; see :func:`rule.compare_all`."""
    return rule.compare_all(precision, outputs, hub, reference, meanings(manifest), rule.cut_of(manifest))


def meanings(manifest: dict[str, Any]) -> dict[str, str]:
    """What each output means, by name."""
    return {output["name"]: output["meaning"] for output in manifest.get("outputs") or ()}


def artifact(manifest: dict[str, Any]) -> str:
    """The precision that the bundle is for; the other one, where there is one, is its control."""
    return "fp16" if manifest.get("precision") == "fp16" else "int8"


def passed(manifest: dict[str, Any], compared: dict[str, Any]) -> bool:
    """Whether the bundle does what it promises; its own precision decides, unless the control alone ran."""
    decisive = compared.get(artifact(manifest)) or next(iter(compared.values()))
    return bool(decisive["passed"])

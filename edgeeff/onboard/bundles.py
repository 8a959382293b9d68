"""A bundle's manifest, as far as a session on a board needs it, and its session there."""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edgeeff.onboard.camera import Camera
from edgeeff.onboard.pixels import Normalising
from edgeeff.onboard.refusal import Refused
from edgeeff.onboard.runs import Runs
from edgeeff.onboard.seals import digest_of


class Facts(NamedTuple):
    """What a session is made from.

    Args:
        folder: The bundle.
        runtime: What runs it.
        preprocess: Of its float input.
        input_type: ``float32``, ``uint8`` or ``int8``.
        properties: What is set of the runtime.
        outputs: The artifact's, by their names; none of a bundle of schema 1.
        batch: Images in a run, as the manifest says.
    """

    folder: Path
    runtime: str
    preprocess: Normalising
    input_type: str
    properties: dict[str, str]
    outputs: tuple[str, ...]
    batch: Runs


def facts(folder: Path) -> Facts:
    """Read a manifest, whose form the host has checked; its sealed files are held against their seals.

    Raises:
        Refused: A file was altered, or the manifest cannot be understood.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        altered = [name for name, seal in manifest["files"].items() if digest_of(folder / name) != seal]
        preprocess = manifest["preprocess"]
        height, width = preprocess["size"]
        found = Facts(
            folder,
            str(manifest["runtime"]),
            Normalising(
                (height, width),
                tuple(preprocess["mean"]),
                tuple(preprocess["std"]),
                _camera(preprocess.get("camera")),
            ),
            str(manifest["input"]),
            dict(manifest["runtime_properties"]),
            tuple(output["name"] for output in manifest.get("outputs") or ()),
            _batch(manifest.get("batch", 1)),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refused(
            "BundleError",
            f"{folder} on the board is no whole bundle ({error})",
            "run it again: it is sent anew",
        ) from None
    if altered:
        raise Refused(
            "BundleError",
            f"{folder} on the board: {', '.join(altered)} does not have the manifest's SHA-256",
            "run it again: it is sent anew",
        )
    return found


def _camera(said: Any) -> Any:
    if said is None:
        return None
    frame = said.get("frame")
    return Camera(**{**said, "frame": None if frame is None else (int(frame[0]), int(frame[1]))})


def _batch(said: Any) -> Runs:
    dynamic = re.fullmatch(r"dynamic:(\d+)", str(said))
    return Runs(int(dynamic.group(1)), True) if dynamic else Runs(int(said))


def part(runtime: str) -> Any:
    """What a runtime has for a board.

    Raises:
        Refused: It has nothing, or what it needs cannot be imported.
    """
    if not re.fullmatch(r"\w+", runtime):
        raise Refused("UnknownTargetError", f"no runtime {runtime!r}", "build the bundle again")
    try:
        return import_module(f"edgeeff.backends.{runtime}.onboard")
    except ModuleNotFoundError as error:
        raise Refused(
            "MissingRuntimeError",
            f"the runtime {runtime} has no part that runs on a board ({error})",
            "run the bundle where edgeeff is installed",
        ) from None


def session(found: Facts, threads: int) -> Any:
    """Load a bundle into its runtime.

    Raises:
        Refused: The runtime is not installed, or the artifact cannot be loaded or takes other runs.
    """
    made = part(found.runtime).load(found, threads)
    own = made.batch
    if own.dynamic != found.batch.dynamic or (not own.dynamic and own.size != found.batch.size):
        raise Refused(
            "BundleError",
            f"{found.folder}: its artifact takes {own} images in a run, its manifest says {found.batch}",
            "copy the whole bundle, or build it again",
        )
    return made


def golden(folder: Path) -> Any:
    """The golden pixels uint8 [N, H, W, C] of a bundle; None: it has none.

    Raises:
        Refused: The file is no array.
    """
    path = folder / "golden" / "inputs.npy"
    if not path.is_file():
        return None
    try:
        return np.load(str(path), allow_pickle=False)
    except (OSError, ValueError) as error:
        raise Refused("BundleError", f"{path} cannot be read: {error}", "build the bundle again") from None

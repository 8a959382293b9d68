"""From a photo to what a bundle's artifact is given, stage by stage, each with a checksum.

So that whoever writes this again in another language can hold each stage of theirs against ours. Each stage
is made by the functions that ``run`` calls: nothing here computes pixels.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeeff import golden_photo
from edgeeff.bundle import Bundle
from edgeeff.errors import MissingRuntimeError
from edgeeff.files import TEMPORARY, write_file, writing
from edgeeff.images import Picture, decode
from edgeeff.manifest import Manifest
from edgeeff.preprocess import CHANNELS, Preprocess

PHOTO, STAGES = "photo.png", "stages.json"
_DIGITS = 6


@dataclass(frozen=True)
class Stage:
    """One stage.

    Args:
        name: Short, and part of a file's name.
        does: In words, with all numbers that it takes.
        array: What comes out; None: the artifact does it inside, or its runtime is not here.
        not_run: Why there is no array.
    """

    name: str
    does: str
    array: npt.NDArray[Any] | None = None
    not_run: str = ""

    @property
    def sha256(self) -> str:
        """Of the array's bytes, in C's order and little-endian."""
        return hashlib.sha256(np.ascontiguousarray(self.array).tobytes()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """As plain data, without the array's values."""
        found: dict[str, Any] = {"name": self.name, "does": self.does}
        if self.array is None:
            return found | ({"not_run": self.not_run} if self.not_run else {})
        values = self.array.astype(np.float64)
        return found | {
            "type": str(self.array.dtype),
            "shape": list(self.array.shape),
            "sha256": self.sha256,
            "lowest": round(float(values.min()), _DIGITS),
            "mean": round(float(values.mean()), _DIGITS),
            "highest": round(float(values.max()), _DIGITS),
        }


def stages(bundle: Bundle) -> list[Stage]:
    """The stages of the golden photo (:mod:`edgeeff.golden_photo`).

    Raises:
        BundleError: A sealed file was altered, or the artifact cannot be loaded.
    """
    with TemporaryDirectory(prefix=TEMPORARY, ignore_cleanup_errors=True) as folder:
        path = Path(folder) / PHOTO
        path.write_bytes(golden_photo.png())
        return list(_stages(bundle, Picture(path)))


def save(found: Sequence[Stage], folder: Path) -> None:
    """Write the photo as ``photo.png``, each stage as ``1-decode.npy``, …, and their figures as a file.

    Raises:
        OutputError: It cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / PHOTO, golden_photo.png())
    for number, stage in enumerate(found, 1):
        if stage.array is not None:
            content = io.BytesIO()
            np.save(content, np.ascontiguousarray(stage.array), allow_pickle=False)
            write_file(folder / f"{number}-{stage.name}.npy", content.getvalue())
    text = json.dumps([stage.to_json() for stage in found], indent=2, ensure_ascii=False)
    write_file(folder / STAGES, f"{text}\n".encode())


def _stages(bundle: Bundle, picture: Picture) -> Iterator[Stage]:
    manifest = bundle.manifest
    preprocess = manifest.preprocess
    stored = decode(picture, replace(preprocess, exif=False))
    yield Stage("decode", _decoding(preprocess), _array(stored, preprocess))
    image = decode(picture, preprocess)
    yield Stage("orient", _orienting(preprocess), _array(image, preprocess))
    fitted, fit = preprocess.fitted(image)
    if preprocess.letterbox is not None:
        width, height = preprocess.inner(image.size)
        yield Stage("resize", _resizing(preprocess, (width, height)), fitted[:height, :width])
        colour = ", ".join(f"{round(value)}" for value in preprocess.letterbox)
        yield Stage("letterbox", f"at the top left of {_size(fitted)}, the rest ({colour})", fitted)
    elif preprocess.taken != preprocess.size:
        yield Stage(
            "frame",
            f"in a frame of {_size(fitted)}, so that the artifact sees of it what the "
            "network would be shown of the photo; a camera's own frame is taken as it is",
            fitted,
        )
    else:
        box = ", ".join(f"{value:.6f}".rstrip("0").rstrip(".") for value in fit.box)
        what = f"left, top, right, bottom ({box}) of it, in one step with the crop"
        yield Stage("resize", f"{_resizing(preprocess, fitted.shape[1::-1])}: {what}", fitted)
    if manifest.input == "float32" and preprocess.camera is None:
        normalised = preprocess.normalise_channels_last(fitted[None])
        yield Stage("normalise", _normalising(preprocess), normalised)
    yield from _inputs(bundle, fitted[None])
    if preprocess.camera is not None:
        yield Stage("inside", _inside(preprocess))


def _inputs(bundle: Bundle, pixels: npt.NDArray[np.uint8]) -> Iterator[Stage]:
    """The artifact's input tensors, as the runtime's session makes them."""
    manifest = bundle.manifest
    try:
        session = _session(bundle)
    except MissingRuntimeError as error:
        yield Stage("input", _input(manifest), not_run=error.what)
        return
    prepared = session.prepare(pixels)
    if not isinstance(prepared, (dict, tuple)):
        yield Stage("input", f"{_input(manifest)}: {_layout(prepared, pixels)}", np.asarray(prepared))
        return
    planes = prepared.values() if isinstance(prepared, dict) else prepared  # OpenVINO's; LiteRT's
    for name, plane in zip(("y", "uv"), planes, strict=False):
        yield Stage(f"input-{name}", f"{_input(manifest)}: plane {name}, NHWC", np.asarray(plane))


def _session(bundle: Bundle) -> Any:
    """The runtime's; where it cannot run here onnxruntime's over the bundle's own graph, if it has one.

    Raises:
        MissingRuntimeError: Neither can run here.
        BundleError: As for :meth:`edgeeff.bundle.Bundle.session`.
    """
    try:
        return bundle.session()
    except MissingRuntimeError:
        found = bundle.graph_session()
        if found is None:
            raise
        return found[1]


def _array(image: Any, preprocess: Preprocess) -> npt.NDArray[np.uint8]:
    height, width = image.size[::-1]
    return np.asarray(image, np.uint8).reshape(height, width, preprocess.channels)


def _size(pixels: npt.NDArray[np.uint8]) -> str:
    return f"{pixels.shape[1]}×{pixels.shape[0]}"


def _decoding(preprocess: Preprocess) -> str:
    text = f"8 bits of {CHANNELS[preprocess.channels]}, 0…255, as stored: no colour profile is applied"
    if preprocess.channels == 1:
        return f"{text}; colours become 0.299 R + 0.587 G + 0.114 B"
    return f"{text}; the fourth is 255 where a file has none" if preprocess.channels == 4 else text


def _orienting(preprocess: Preprocess) -> str:
    if preprocess.exif:
        return f"EXIF orientation is applied; the photo has {golden_photo.ORIENTATION}: turned clockwise"
    return f"EXIF orientation is NOT applied (the photo has {golden_photo.ORIENTATION}): as stored"


def _resizing(preprocess: Preprocess, size: Sequence[int]) -> str:
    support = "a = -0.5, 4 taps" if preprocess.interpolation == "bicubic" else "triangle, 2 taps"
    return (
        f"to {size[0]}×{size[1]} by Pillow's {preprocess.interpolation} ({support}) with antialiasing: where "
        "it shrinks, the filter is as many times wider; across first, rounded to 8 bits, then down"
    )


def _normalising(preprocess: Preprocess) -> str:
    if preprocess.is_unnormalised:
        return "pixels of 0…255 as they are, as float32; the artifact normalises them inside"
    mean, std = (", ".join(f"{value:g}" for value in each) for each in (preprocess.mean, preprocess.std))
    return f"(pixel - mean) / std in float32, by channel: mean ({mean}), std ({std})"


def _input(manifest: Manifest) -> str:
    camera = manifest.preprocess.camera
    if camera is not None:
        form = f", {camera.matrix.upper()}, {camera.range} range" if camera.planar else ""
        return f"uint8 {camera.colours.upper()}{form}"
    return {
        "float32": "float32",
        "uint8": "uint8: pixels as they are; the artifact takes off mean and std itself",
        "int8": "int8: pixel - 128; the artifact takes off mean and std itself",
    }[manifest.input]


def _layout(prepared: Any, pixels: npt.NDArray[np.uint8]) -> str:
    """NCHW or NHWC, by its shape; channels of one are both."""
    return "layout NHWC" if tuple(np.asarray(prepared).shape) == pixels.shape else "layout NCHW"


def _inside(preprocess: Preprocess) -> str:
    camera = preprocess.camera
    steps = [] if camera is None or camera.colours == "rgb" else [f"{camera.colours.upper()} becomes RGB"]
    if preprocess.taken != preprocess.size:
        (height, width), filtered = preprocess.size, preprocess.interpolation
        box = ", ".join(f"{value:g}" for value in preprocess.whole.box)
        steps.append(f"resize to {width}×{height} ({filtered}, antialiased) of ({box})")
    return "; ".join([*steps, _normalising(preprocess)]) + ": the artifact does this itself"

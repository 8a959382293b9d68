"""What each TensorRT version builds of a bundle, and the trtexec line that builds the same."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import Any, NamedTuple

from .sealed import MEASURED, RefusedError

PRECISIONS = ("int8", "fp16")
STRONGLY_TYPED_FROM = (10, 12)  # where TensorRT deprecated the INT8 and FP16 flags; 11 has none
RANGE = ((8, 5), (12, 0))

#: Where the lines change: 8.6 has another word for building only, 11 knows no types but the file's.
_LINES = (((8, 5), "8.5"), ((8, 6), "8.6 to 10.11"), (STRONGLY_TYPED_FROM, "10.12 to 10.16"), ((11, 0), "11"))

#: From here on nobody verified EfficientNMS_TRT, which is deprecated since 10.12: a detector's bundle has
#: another graph.
OWN_NMS_FROM = (11, 2)
#: Where EfficientNMS_TRT learnt class_agnostic.
AGNOSTIC_FROM = (8, 6)
_OWN_NMS = {"int8": "model.qdq.nms.fp16.onnx", "fp16": "model.float.nms.fp16.onnx"}

_WEAKLY = {"int8": "model.qdq.onnx", "fp16": "model.float.onnx"}
_STRONGLY = {"int8": "model.qdq.fp16.onnx", "fp16": "model.float.fp16.onnx"}
_FLAGS = {"int8": ("INT8", "FP16"), "fp16": ("FP16",)}


class Recipe(NamedTuple):
    """What a TensorRT version builds: the file, and either the file's own types or these builder flags."""

    onnx: str
    strongly_typed: bool
    flags: tuple[str, ...]


def parse_version(text: str) -> tuple[int, int]:
    """Major and minor of a version such as ``10.3.0.26``."""
    try:
        major, minor = (int(part) for part in [*text.split("."), "0"][:2])
    except ValueError:
        raise RefusedError(f"{text!r} is not a TensorRT version; write one such as 10.3") from None
    if not RANGE[0] <= (major, minor) < RANGE[1]:
        raise RefusedError(f"TensorRT {text} is outside of 8.5 to 11, which this bundle is for")
    return major, minor


def recipe(version: tuple[int, int], precision: str, files: Container[str] = (), variant: str = "") -> Recipe:
    """The file and the typing for a TensorRT version and a precision of :data:`PRECISIONS`.

    Args:
        version: Major and minor.
        precision: ``int8`` or ``fp16``.
        files: The bundle's; a detector that makes boxes has graphs that others have not.
        variant: Of the INT8 graph, as a part of its file's name; empty: the bundle's own.
    """
    found = _recipe(version, precision, files)
    if not variant or precision != "int8":
        return found
    return found._replace(onnx=found.onnx.replace("model.qdq", f"model.qdq.{variant}", 1))


def _recipe(version: tuple[int, int], precision: str, files: Container[str]) -> Recipe:
    if version >= OWN_NMS_FROM and _OWN_NMS[precision] in files:
        return Recipe(_OWN_NMS[precision], True, ())
    if version >= STRONGLY_TYPED_FROM:
        return Recipe(_STRONGLY[precision], True, ())
    return Recipe(_WEAKLY[precision], False, _FLAGS[precision])


def refuse(manifest: dict[str, Any], version: tuple[int, int]) -> None:
    """Refuse to build what this TensorRT would silently build as something else."""
    detection = manifest.get("detection") or {}
    across = detection.get("where") == "runtime" and detection["nms"]["across"]
    if across and version < AGNOSTIC_FROM:
        raise RefusedError(
            "this TensorRT's EfficientNMS_TRT knows no NMS across classes, that of 8.6 does; build the "
            "bundle anew with NMS for each class, or with --nms host"
        )


def offered(files: object, version: tuple[int, int], wanted: str) -> list[str]:
    """The precisions to build: of those that the bundle's files offer, the ``wanted`` one or ``both``."""
    names = files if isinstance(files, dict) else {}
    found = [precision for precision in PRECISIONS if recipe(version, precision, names).onnx in names]
    chosen = [precision for precision in found if wanted in ("both", precision)]
    if not chosen:
        missing = PRECISIONS if wanted == "both" else (wanted,)
        needed = " or ".join(recipe(version, precision).onnx for precision in missing)
        raise RefusedError(f"this bundle has no {needed}; it offers {', '.join(found) or 'nothing'}")
    return chosen


def shapes(name: str, image: Sequence[int], profile: Sequence[int]) -> list[str]:
    """What trtexec is told of a network that takes several numbers of images in a run.

    Args:
        name: Of the input.
        image: Its dimensions for one image.
        profile: The least, the best and the greatest number of images.
    """
    return [
        f"--{word}Shapes={name}:{'x'.join(map(str, (images, *image)))}"
        for word, images in zip(("min", "opt", "max"), profile)  # noqa: B905 (Python 3.8)
    ]


def trtexec(
    version: tuple[int, int],
    precision: str,
    workspace: int,
    shapes: Sequence[str] = (),
    files: Container[str] = (),
) -> list[str]:
    """The trtexec line that builds the same engine, to be run in the bundle's folder (``workspace`` in MiB).

    ``shapes`` is what :func:`shapes` says, where the network takes several numbers of images; ``files`` are
    the bundle's.

    Read in trtexec's own source: 8.5 says --buildOnly for what 8.6 and later call --skipInference, and
    --stronglyTyped, which excludes --int8 and --fp16, has no effect from 11 on.
    """
    chosen = recipe(version, precision, files)
    types = ["--stronglyTyped"] if chosen.strongly_typed else [f"--{f.lower()}" for f in chosen.flags]
    return [
        "trtexec",
        f"--onnx={chosen.onnx}",
        *([] if version >= (11, 0) else types),
        *shapes,
        f"--memPoolSize=workspace:{workspace}",
        f"--timingCacheFile={MEASURED}/trtexec.timing",
        f"--saveEngine={MEASURED}/trtexec-{precision}.engine",
        "--skipInference" if version >= (8, 6) else "--buildOnly",
    ]


def every_trtexec(
    precisions: Sequence[str], workspace: int, shapes: Sequence[str] = (), files: Container[str] = ()
) -> Iterator[str]:
    """The lines for all versions, under a comment that names them."""
    lines = [*_LINES]
    if any(name in files for name in _OWN_NMS.values()):
        lines[-1:] = [((11, 0), "11.0 and 11.1"), (OWN_NMS_FROM, "11.2 and later")]
    for version, name in lines:
        yield f"# TensorRT {name}"
        for precision in precisions:
            yield " ".join(trtexec(version, precision, workspace, shapes, files))

"""A bundle's facts as a header of C99 and C++: what a program without edgeeff must know of it.

``edgeeff inspect BUNDLE --c-header FILE`` writes it, and the programs of ``samples/`` are built with it. The
text is a function of the bundle alone. Its names begin with ``EDGEEFF_`` or ``edgeeff_``, and a source file
takes the header of one bundle.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeeff.bundle import Bundle
from edgeeff.detection import HOST, Detection
from edgeeff.errors import BundleError, OutputError
from edgeeff.files import refuse_special, refuse_within, write_file, writing
from edgeeff.manifest import Manifest
from edgeeff.onboard.camera import Camera
from edgeeff.preprocess import Preprocess

#: Of the header's layout, for programs that need a certain one.
VERSION = 1
#: Scale and zero point of an output that holds no integers.
_FLOAT = (0.0, 0)
_TYPES = ("float32", "uint8", "int8")
_TASKS = ("classification", "multilabel", "detection", "features")
_RUNTIMES = ("openvino", "tflite", "tflite_micro", "tensorrt", "tensorrt_rtx", "onnxruntime")
_PRECISIONS = ("int8", "fp16", "bf16", "fp32")
#: What each header begins with.
_FIRST = "/* Written by edgeeff inspect --c-header."
#: Of a line.
_WIDE = 110
#: Of what C99 calls printable, what needs no escape in a string: a question mark may begin a trigraph.
_PLAIN = frozenset(range(0x20, 0x7F)) - frozenset(b'"\\?')


@dataclass(frozen=True)
class _Tensor:
    """An output as the artifact has it.

    Args:
        name: Empty of a bundle of schema 1, which does not say it.
        meaning: As in the manifest.
        shape: In the artifact's layout, batch first.
        type: ``float32``, ``uint8`` or ``int8``.
        scale, zero_point: What integers mean; of floats 0 and 0.
    """

    name: str
    meaning: str
    shape: tuple[int, ...]
    type: str
    scale: float
    zero_point: int


def write(bundle: Bundle, path: Path) -> None:
    """Write the header of a bundle, whole or not at all.

    Raises:
        BundleError: A sealed file was altered, or a text in the manifest cannot stand in C.
        MissingRuntimeError: The artifact alone says what integers in its outputs mean, and its runtime is not
            installed.
        OutputError: The file cannot be written, is in the bundle, or holds what is no such header.
    """
    bundle.refuse_altered()
    refuse_special(path)
    refuse_within(path.parent, bundle.folder)
    _refuse_other(path)
    write_file(path, text(bundle).encode("ascii"))


def _refuse_other(path: Path) -> None:
    """Leave a file that somebody wrote, such as the program that is to include the header."""
    with writing(path), contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        if file.read(len(_FIRST)) not in (b"", _FIRST.encode()):
            raise OutputError(
                f"{path} is no header that edgeeff wrote, and is not replaced", mend="name another file"
            )


def text(bundle: Bundle) -> str:
    """The header of a bundle; :func:`write` says what it raises."""
    manifest = bundle.manifest
    tensors = _tensors(bundle)
    guard = f"EDGEEFF_BUNDLE_{bundle.digest()[:16].upper()}_H"
    lines = [
        f"{_FIRST} Do not edit: write it again for another build. */",
        f"#ifndef {guard}",
        f"#define {guard}",
        "#ifdef EDGEEFF_HEADER",
        '#error "this source file has the header of another bundle: each bundle needs a source file"',
        "#endif",
        "#include <stddef.h>",
        *_identity(bundle),
        *_input(bundle),
        *_outputs(manifest, tensors),
        *_labels(manifest),
        *(_detector(manifest.detection) if manifest.detection else ()),
        "#endif",
    ]
    return "\n".join(lines) + "\n"


def _identity(bundle: Bundle) -> list[str]:
    """Which bundle it is, and how its runtime is set."""
    manifest = bundle.manifest
    properties = sorted(manifest.runtime_properties.items())
    pairs = [f"{{{_string(key)}, {_string(value)}}}" for key, value in properties]
    return [
        "",
        "/* Which bundle it is. The digest is the SHA-256 of manifest.json. */",
        _define("HEADER", VERSION),
        _define("NAME", _string(manifest.name)),
        _define("DIGEST", _string(bundle.digest())),
        _define("RUNTIME", _string(manifest.runtime)),
        *_flags("RUNTIME", manifest.runtime, _RUNTIMES),
        _define("TASK", _string(manifest.task)),
        *_flags("TASK", manifest.task, _TASKS),
        _define("PRECISION", _string(manifest.precision)),
        *_flags("PRECISION", manifest.precision, _PRECISIONS),
        "/* The network, below the bundle's folder; TensorRT builds its engine from it. */",
        _define("FILE", _string(_file(bundle))),
        "/* What the runtime is to be told: the bundle was verified with it. */",
        _define("PROPERTIES", len(pairs)),
        *_array("const char *const edgeeff_properties[EDGEEFF_PROPERTIES][2]", pairs),
    ]


def _input(bundle: Bundle) -> list[str]:
    """From a photo to the input."""
    manifest = bundle.manifest
    preprocess, kind, batch = manifest.preprocess, manifest.input, manifest.batch
    height, width = preprocess.size
    colour = preprocess.letterbox or (0.0,) * preprocess.channels
    made = str(manifest.tools.get("pillow", "")).partition(".")[0]
    return [
        "",
        "/* The input: images of a run (1 to EDGEEFF_BATCH where it is dynamic), and its pixels. */",
        _define("BATCH", batch.size),
        _define("BATCH_DYNAMIC", int(batch.dynamic)),
        _define("HEIGHT", height),
        _define("WIDTH", width),
        _define("CHANNELS", preprocess.channels),
        "/* 1: [N, C, H, W]; 0: [N, H, W, C]. Three channels: R, G, B; one: grey; four: R, G, B, A. */",
        _define("CHANNELS_FIRST", int(_channels_first(bundle))),
        _define("INPUT_TYPE", _string(kind)),
        *_flags("INPUT", kind, _TYPES),
        "/* A float input is (pixel - mean) / std; an integer one is pixel + EDGEEFF_INPUT_OFFSET. */",
        _define("INPUT_OFFSET", -128 if kind == "int8" else 0),
        _define("NORMALISED", int(kind == "float32")),
        *_array("const float edgeeff_mean[EDGEEFF_CHANNELS]", map(_float, preprocess.mean)),
        *_array("const float edgeeff_std[EDGEEFF_CHANNELS]", map(_float, preprocess.std)),
        "/* How a photo is resized, by Pillow's antialiased filter: so that the input is the middle",
        "   EDGEEFF_CROP of it; or squashed; or in a letterbox at the top left, the rest edgeeff_fill. */",
        _define("FILTER", _string(preprocess.interpolation)),
        *_flags("FILTER", preprocess.interpolation, ("bilinear", "bicubic", "lanczos")),
        *([_define("PILLOW", made)] if made.isdecimal() else []),
        _define("CROP", repr(float(preprocess.crop))),
        _define("SQUASH", int(preprocess.squash)),
        _define("LETTERBOX", int(preprocess.letterbox is not None)),
        *_array("const unsigned char edgeeff_fill[EDGEEFF_CHANNELS]", (str(round(v)) for v in colour)),
        "/* 1: a photo is turned by its EXIF orientation first. */",
        _define("EXIF", int(preprocess.exif)),
        *_camera(preprocess),
    ]


def _camera(preprocess: Preprocess) -> list[str]:
    """How the artifact takes a camera's frames, where it does not take RGB pixels of its own size."""
    camera, (height, width) = preprocess.camera or Camera(), preprocess.taken
    return [
        "/* 1: the artifact takes a camera's frames of EDGEEFF_FRAME_HEIGHT and _WIDTH in these colours, and",
        "   resizes and converts them itself; 0: it takes RGB pixels, or grey ones, of its own size. */",
        _define("CAMERA", int(preprocess.camera is not None)),
        _define("COLOURS", _string(camera.colours)),
        _define("FRAME_HEIGHT", height),
        _define("FRAME_WIDTH", width),
        *([_define("MATRIX", _string(camera.matrix))] if camera.planar else []),
        *([_define("RANGE", _string(camera.range))] if camera.planar else []),
    ]


def _outputs(manifest: Manifest, tensors: list[_Tensor]) -> list[str]:
    """What comes out, and what it means."""
    meaning = manifest.meaning
    rows = [
        f"{{{_string(t.name)}, {_string(t.meaning)}, {_string(t.type)}, {_float(t.scale)}, {t.zero_point}, "
        f"{len(t.shape)}, {{{', '.join(map(str, t.shape))}}}}}"
        for t in tensors
    ]
    return [
        "",
        "/* The outputs, shapes as for one image. Integers mean (integer - zero_point) * scale; of floats",
        "   the scale is 0. A name is empty where the bundle does not say it: it has one output. */",
        "typedef struct {",
        "    const char *name, *meaning, *type;",
        "    float scale;",
        "    int zero_point, dimensions, shape[8];",
        "} edgeeff_output;",
        _define("OUTPUTS", len(rows)),
        *_array("const edgeeff_output edgeeff_outputs[EDGEEFF_OUTPUTS]", rows),
        "/* 1: classes and labels come as probabilities; 0: as logits. */",
        _define("PROBABILITIES", int(meaning.probable)),
        "/* 1: the artifact gives boxes; 0: a detector's scores and codes of anchors, or no detector. */",
        _define("BOXES_INSIDE", int(manifest.detection is not None and manifest.detection.where != HOST)),
        "/* Of the score of a label or box that is there. */",
        _define("THRESHOLD", repr(float(meaning.threshold))),
    ]


def _labels(manifest: Manifest) -> list[str]:
    """The classes' names, UTF-8."""
    return [
        "",
        "/* The classes, UTF-8; and how an image is called that has none of them. */",
        _define("CLASSES", manifest.classes),
        *_array("const char *const edgeeff_labels[EDGEEFF_CLASSES]", map(_string, manifest.labels)),
        _define("ABSENT", _string(manifest.absent)),
    ]


def _detector(detection: Detection) -> list[str]:
    """A detector's anchors, and which boxes are kept."""
    geometry, nms = detection.geometry, detection.nms
    return [
        "",
        "/* Where boxes are not made inside: the anchors that their codes are relative to. */",
        _define("ANCHORS", geometry.count),
        _define("FIRST_LEVEL", geometry.levels[0]),
        _define("LAST_LEVEL", geometry.levels[1]),
        _define("OCTAVES", geometry.octaves),
        _define("ANCHOR_SCALE", repr(float(geometry.scale))),
        _define("RATIOS", len(geometry.ratios)),
        "/* Across, down. */",
        *_array(
            "const double edgeeff_ratios[EDGEEFF_RATIOS][2]",
            (f"{{{float(wide)!r}, {float(high)!r}}}" for wide, high in geometry.ratios),
        ),
        "/* Lowest score, largest overlap (IoU), boxes of an image at most; 1: of all classes together. */",
        _define("NMS_SCORE", repr(float(nms.score))),
        _define("NMS_IOU", repr(float(nms.iou))),
        _define("MAX_BOXES", nms.max_boxes),
        _define("NMS_ACROSS", int(nms.across)),
    ]


def _tensors(bundle: Bundle) -> list[_Tensor]:
    """The outputs in the artifact's own layout."""
    manifest, runtime = bundle.manifest, bundle.runtime
    said = [(o.name, o.meaning, tuple(o.shape)) for o in manifest.outputs]
    said = said or [("", "scores", (1, manifest.classes))]
    means = _integers(bundle) if runtime.integer_outputs and manifest.input != "float32" else {}
    found = []
    for name, meaning, shape in said:
        scale, zero_point = means.get(name, _FLOAT) if name else next(iter(means.values()), _FLOAT)
        shape = (shape[0], *shape[2:], shape[1]) if runtime.channels_last and len(shape) == 4 else shape
        kind = manifest.input if scale else "float32"
        found.append(_Tensor(name, meaning, shape, kind, scale, zero_point))
    return found


def _integers(bundle: Bundle) -> Mapping[str, tuple[float, int]]:
    """Scale and zero point of each output, which the artifact alone says."""
    outputs: Mapping[str, Any] = getattr(bundle.session(checked=True), "outputs", {})
    return {name: (float(each.scale), int(each.zero_point)) for name, each in outputs.items()}


def _channels_first(bundle: Bundle) -> bool:
    """Whether the input is [N, C, H, W]: as the runtime's README says; else as its feature maps are."""
    usage, manifest = bundle.runtime.usage(), bundle.manifest
    if usage is not None:
        return bool(usage.channels_first(manifest.input))
    return not bundle.runtime.channels_last


def _file(bundle: Bundle) -> str:
    """The first of the artifact's files."""
    first = bundle.runtime.artifact[0]
    names = (first,) if isinstance(first, str) else first
    return next((name for name in names if name in bundle.manifest.files), names[0])


def _define(name: str, value: object) -> str:
    return f"#define EDGEEFF_{name} {value}"


def _flags(prefix: str, value: str, known: Iterable[str]) -> list[str]:
    """A 1 for the one that it is and a 0 for each other, for ``#if``."""
    return [_define(f"{prefix}_{each.upper()}", int(each == value)) for each in known]


def _array(declared: str, values: Iterable[str]) -> list[str]:
    """An array, a value a line where it is long; none where it would be empty, which C does not have."""
    rows = list(values)
    line = f"static {declared} = {{{', '.join(rows)}}};"
    if not rows or len(line) <= _WIDE:
        return [line] if rows else []
    return [f"static {declared} = {{", *(f"    {row}," for row in rows), "};"]


def _float(value: float) -> str:
    """The float32 that is used, in the fewest digits that mean it."""
    shown = str(np.float32(value))
    if not math.isfinite(float(shown)):
        raise BundleError(f"{value:g} is no number of float32", mend="build the bundle again")
    return f"{shown}f"


def _string(value: str) -> str:
    """A string of C: UTF-8, all but plain ASCII as octal escapes, which end after three digits.

    Raises:
        BundleError: It holds a NUL, which ends a string of C, or is no text.
    """
    try:
        data = value.encode("utf-8")
    except UnicodeEncodeError:
        data = b"\0"
    if 0 in data:
        raise BundleError(
            f"{value!r:.80} cannot be a string of C: it holds a NUL, or is no text",
            mend="build the bundle again with other --labels",
        )
    return '"' + "".join(chr(byte) if byte in _PLAIN else f"\\{byte:03o}" for byte in data) + '"'

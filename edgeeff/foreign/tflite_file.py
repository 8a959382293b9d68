"""A bundle from a detector's .tflite that somebody else made, as it is: Model Maker's, say.

Such a file makes boxes itself, by TFLite_Detection_PostProcess, and holds no network that could be built
anew. What it takes and gives is read of it, so that ``run``, ``eval`` and ``bench`` measure it beside bundles
of our own; nothing is changed in it, and there is no graph to hold it against.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from edgeeff import apart, digests, regular
from edgeeff.backends import Emission
from edgeeff.backends.tflite import boxes
from edgeeff.backends.tflite.run import FILE, make_interpreter
from edgeeff.bundle import Bundle, write_bundle
from edgeeff.detection import RUNTIME, Detection, Geometry, Nms
from edgeeff.errors import BundleError, GraphError, LabelsError, OptionError
from edgeeff.harness.record import record
from edgeeff.labels import given, is_background
from edgeeff.pipeline import artifact, plugged
from edgeeff.pipeline.context import Context
from edgeeff.pipeline.plugged import Used
from edgeeff.pipeline.request import BuildRequest
from edgeeff.pipeline.resolve.detection import resolve_detector
from edgeeff.pipeline.resolve.folders import resolve_output
from edgeeff.pipeline.resolve.preprocessing import prepared, resolve_preprocess
from edgeeff.pipeline.resolve.quantise import resolve_cpu_class
from edgeeff.preprocess import Preprocess
from edgeeff.readme import readme
from edgeeff.target import Target
from edgeeff.tasks import DETECTION, SCORES, Output
from edgeeff.zoo import catalog
from edgeeff.zoo.spec import LITE

_INPUTS = ("float32", "uint8", "int8")
#: COCO's files have it for the background's column, and in the gaps of its numbers.
_GAP = "???"
#: Bytes of the largest file: a flatbuffer's offsets reach no further.
_LARGEST = 1 << 31
_LARGEST_LABELS = 1 << 20  # bytes
_THRESHOLD = 0.3
#: Seconds of the processor, and bytes of memory, that opening a file and one image may take: the largest
#: detector of Model Maker takes two seconds and 300 MB.
_PATIENCE, _MEMORY = 60, 4 << 30


@dataclass(frozen=True)
class _Read:
    """What a file says.

    Args:
        size: Height and width of its input.
        input: The input's element type.
        anchors: How many.
        columns: Scores of each anchor, a background's perhaps among them.
        most: Boxes that it gives at most.
        labels: What lies in it as a text file, if something does.
    """

    size: tuple[int, int]
    input: str
    anchors: int
    columns: int
    most: int
    labels: tuple[str, ...] | None


def wrap(path: Path, target: Target, request: BuildRequest, name: str, context: Context) -> Bundle:
    """The file as a bundle.

    Args:
        path: The file.
        target: One of TFLite's, whose input type is taken from the file.
        request: Labels, threshold, letterbox and output folder.
        name: The bundle's, without its target's.
        context: Hears what was read and what may be wrong.

    Raises:
        GraphError: It is no detector that makes boxes, or takes no RGB image.
        LabelsError: There are not as many as classes.
        OptionError: A target or an option that such a file cannot have.
    """
    if target.runtime != "tflite":
        raise OptionError(f"{path} for {target.name}", mend="choose a target of TFLite, such as mobile-int8")
    said = resolve_detector(request.detector)
    fixed = [n for n, v in vars(said).items() if v not in (None, False) and (n, v) != ("nms", RUNTIME)]
    if fixed:
        listed = ", ".join(f"--{option.replace('_', '-')}" for option in fixed)
        raise OptionError(f"{listed} for {path}, which makes boxes in its own way", mend="leave it out")
    context.watched.add([path])
    content = regular.read(path, GraphError, _LARGEST, "pass the path of a .tflite file")
    held = _read(path)
    target = replace(target, input=held.input)  # type: ignore[arg-type]
    labels = _labels(held, given(request.meaning.labels), path, context)
    changed = resolve_preprocess(request.preprocess)
    preprocess = prepared(_preprocess(held), None, changed)
    threshold = _THRESHOLD if request.meaning.threshold is None else request.meaning.threshold
    detection = Detection(_geometry(held), Nms(score=0.0, max_boxes=held.most), RUNTIME)
    folder = resolve_output(request.output.output, request.output.name or name, [target])[0]
    shapes = {"class_logits": (1, held.anchors, len(labels)), "box_codes": (1, held.anchors, 4)}
    emission = Emission(
        *(folder.name, target, preprocess, labels),
        task=DETECTION,
        threshold=threshold,
        outputs=tuple(Output(output, shape, SCORES) for output, shape in shapes.items()),
        detection=detection,
    )
    _tell(held, emission, {"mean", "std"} <= changed.keys(), context)
    used = Used(target, DETECTION)
    context.warn_all(plugged.warnings([used]))
    manifest = artifact.manifest(
        emission,
        used,
        model="foreign",
        classes=len(labels),
        cpu_class=resolve_cpu_class("auto"),
        digests={"hub": digests.of_bytes(content)},
        origin=f"{path.name}, as it is",
    )
    context.watched.refuse_changed()
    # What a product writes depends on names that this file has otherwise, and on metadata that are not ours.
    said_of_it, _, _ = readme(emission).partition("\n## In a product")
    files = {FILE: content, "README.md": said_of_it.encode()}
    return write_bundle(folder, manifest, files, partial(_measure, context))


def _measure(context: Context, bundle: Bundle) -> Mapping[str, Mapping[str, Any] | bytes]:
    check = bundle.check()
    context.warn_all(check.warnings)
    reason = "NOT RUN: there is no graph that the file could be held against"
    report: dict[str, Any] = {
        "golden": {"status": "not run", "summary": reason},
        "check": check.summary,
        "not_run": reason,
        "warnings": list(context.warnings),
        "record": record("verification", [bundle]).to_json(),
        "repairs": [],
        "repaired": None,
    }
    return {"verification.json": report, **check.files}


def _read(path: Path) -> _Read:
    """What the file takes and gives, from its interpreter.

    The interpreter believes what a file says of itself: one of a stranger can crash it, or keep it for ever.
    So the file is opened and run once in a copy of this process first.

    Raises:
        GraphError: It is damaged, makes no boxes, or takes something else than one image of three channels.
    """

    def trial() -> None:
        _, interpreter = _held(path)
        interpreter.invoke()

    if not apart.ends(trial, _PATIENCE, _MEMORY):
        raise GraphError(
            f"{path} is damaged: the TFLite runtime crashes or hangs over it, or takes more than "
            f"{_MEMORY >> 30} GB",
            mend="bring the file again",
        )
    try:
        return _held(path)[0]
    except UnicodeDecodeError:
        raise GraphError(f"{path} is damaged: names in it are no text", mend="bring the file again") from None


def _held(path: Path) -> tuple[_Read, Any]:
    """The same without a trial, and the interpreter."""
    with TemporaryDirectory() as folder:
        (Path(folder) / FILE).symlink_to(path.resolve())
        try:
            interpreter = make_interpreter(Path(folder), properties={})
        except BundleError as error:
            what = error.what.replace(str(Path(folder) / FILE), str(path))
            raise GraphError(what, mend="bring the file again") from None
    made = boxes.outputs(interpreter)
    if made is None:
        outputs = [f"{t['name']} {list(t['shape'])}" for t in interpreter.get_output_details()]
        raise GraphError(
            f"{path} does not end in {boxes.POSTPROCESS}: its outputs are {', '.join(outputs)}",
            mend="of .tflite files only detectors are taken that make boxes themselves; build a bundle from "
            "the network's checkpoint or ONNX file instead",
        )
    source, *others = interpreter.get_input_details()
    shape, kind = [int(side) for side in source["shape"]], np.dtype(source["dtype"]).name
    if others or len(shape) != 4 or shape[0] != 1 or shape[3] != 3 or kind not in _INPUTS:
        raise GraphError(
            f"{path} takes {kind} {shape}{' and more' if others else ''}",
            mend="export it with one input [1, H, W, 3], uint8, int8 or float32",
        )
    details = {int(tensor["index"]): tensor for tensor in interpreter.get_tensor_details()}
    node = next(n for n in interpreter._get_ops_details() if n["op_name"] == boxes.POSTPROCESS)
    scores = [int(side) for side in details[int(node["inputs"][1])]["shape"]]
    most = int(np.prod(details[made[2]]["shape"]))
    found = _Read((shape[1], shape[2]), kind, scores[-2], scores[-1], most, _packed_labels(path))
    return found, interpreter


def _packed_labels(path: Path) -> tuple[str, ...] | None:
    """The labels that TFLite's metadata put behind the file, as a zip archive's text."""
    try:
        with zipfile.ZipFile(path) as archive:
            texts = [m for m in archive.infolist() if m.filename.endswith(".txt")]
            if len(texts) != 1 or texts[0].file_size > _LARGEST_LABELS:
                return None
            lines = archive.read(texts[0]).decode("utf-8", "replace").splitlines()
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, NotImplementedError, RuntimeError):
        return None
    return tuple(line.strip() for line in lines if line.strip()) or None


def _labels(held: _Read, said: Sequence[str] | None, path: Path, context: Context) -> tuple[str, ...]:
    """A name for each class that the operator reports, without a background's column.

    The operator takes as many columns off the front as it has more of than classes; its options, which say
    how many, are not shown by the interpreter, so that the number of labels decides.

    Raises:
        LabelsError: There are not as many as columns, or columns but one.
    """
    names = said if said is not None else held.labels
    if names is None:
        context.warn(
            f"{path} holds no labels: each of its {held.columns} columns is taken for a class; if the first "
            "is background, classes are counted one too high: pass --labels"
        )
        return tuple(map(str, range(held.columns)))
    if len(names) == held.columns and (names[0] == _GAP or is_background(names[0])):
        context.progress.tell(f"labels   the first, {names[0]!r}, is no class: the operator leaves it out")
        names = names[1:]
    elif len(names) not in (held.columns, held.columns - 1):
        raise LabelsError(
            f"{len(names)} labels for {path}, whose scores have {held.columns} columns",
            mend="pass one label for each class, in the file's order, with background first or without it "
            "(--labels)",
        )
    elif len(names) < held.columns:
        context.progress.tell("labels   one fewer than columns: the first column is background")
    return tuple(f"(no class {k})" if name == _GAP else name for k, name in enumerate(names))


def _preprocess(held: _Read) -> Preprocess:
    """A letterbox in the mean colour, as its authors train and evaluate: google/automl and Model Maker."""
    mean, std = LITE
    return Preprocess(size=held.size, mean=mean, std=std, crop=1.0, interpolation="bilinear", letterbox=mean)


def _geometry(held: _Read) -> Geometry:
    """Anchors of this size and number; nothing is decoded with them, for the file has its own."""
    for spec in catalog.detectors():
        if spec.activation == "relu6" and (spec.size, spec.size) == held.size:
            return spec.geometry(held.size)
    return Geometry(held.size)


def _tell(held: _Read, emission: Emission, said: bool, context: Context) -> None:
    """What was read, and what of it is a guess unless the user ``said`` mean and std."""
    height, width = held.size
    context.progress.tell(
        f"network  foreign, boxes made inside: {held.input} {height}×{width}, {held.anchors} anchors, "
        f"{len(emission.labels)} classes, at most {held.most} boxes"
    )
    fit = "into a letterbox" if emission.preprocess.letterbox is not None else "squashed"
    context.progress.tell(
        f"images   {fit}; {'raw pixels' if held.input != 'float32' else 'mean and std of Lite (127, 128)'}; "
        "MediaPipe and the Task library squash: --letterbox none"
    )
    if held.input == "float32" and not said:
        context.warn(
            "the file takes float32, and does not say how pixels are normalised: (x − 127) / 128 is taken, "
            "as google/automl has it; pass --mean and --std"
        )

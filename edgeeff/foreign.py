"""Bundles from a Q/DQ graph that somebody else quantised: it enters at the hub.

The graph must keep the hub's rules (docs/architecture.md): standard operators, one input [1, 3, H, W] and
one output [1, classes], static. What another tool wrote otherwise is repaired where the graph computes the
same after it (:mod:`edgeeff.backends.tensorrt.repair`: every runtime is the better for it), and its scales
are taken as they are. There is no float graph to hold the artifact against, so what is verified is that it
computes what the Q/DQ graph says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx

from edgeeff import backends, digests, foreign_ends
from edgeeff.backends import Emission, input_preprocess
from edgeeff.backends.onnxruntime.run import session_of
from edgeeff.backends.tensorrt import repair
from edgeeff.backends.tensorrt.lint.reading import load
from edgeeff.bundle import Bundle, Manifest, write_bundle
from edgeeff.cache import key_of
from edgeeff.calibration.selection import pixels
from edgeeff.errors import GraphError, OptionError, VerificationError
from edgeeff.graph import operators
from edgeeff.graph.importing import source, tensors
from edgeeff.graph.outputs import outputs_of
from edgeeff.harness import verify
from edgeeff.harness.record import record
from edgeeff.images.image_set import skipped
from edgeeff.images.survey import survey
from edgeeff.labels import given as given_labels
from edgeeff.metrics import json_number, sqnr
from edgeeff.pipeline import plugged
from edgeeff.pipeline.build import tool_versions
from edgeeff.pipeline.plugged import Used
from edgeeff.pipeline.request import BuildRequest, refuse_other_verbs
from edgeeff.pipeline.request import parts as request_parts
from edgeeff.pipeline.resolve.folders import resolve_output
from edgeeff.pipeline.resolve.labels import resolve_labels, sides
from edgeeff.pipeline.resolve.meaning import resolve_meaning, resolve_task, task_warnings
from edgeeff.pipeline.resolve.preprocessing import prepared, resolve_preprocess
from edgeeff.pipeline.resolve.quantise import resolve_cpu_class
from edgeeff.pipeline.resolve.targets import resolve_targets
from edgeeff.pipeline.steps import Options, target_facts
from edgeeff.preprocess import Preprocess
from edgeeff.progress import Progress, Recorder, recorded
from edgeeff.readme import readme
from edgeeff.recipes import open_source
from edgeeff.target import Target
from edgeeff.tasks import Meaning, checked_threshold
from edgeeff.watched import Watched
from edgeeff.zoo.sources import Identity

if TYPE_CHECKING:
    from typing import Unpack  # Python 3.11's; its users are annotations, which nothing evaluates

    from edgeeff.pipeline.request.keywords import BuildKeywords

#: The largest input, the most classes and the largest tensor (values) that anything is allocated for.
_LARGEST, _MOST_CLASSES, _MOST_VALUES = 4096, 1 << 20, 1 << 29

#: Ends of a graph's file name that say its kind alone.
_KINDS_OF_GRAPH = frozenset(
    {"onnx", "qdq", "fp16", "fp32", "int8", "uint8", "quant", "quantized", "quantised"}
)

#: What a hub graph is made of: what every runtime has, and TFLite the fewest.
OPERATORS = frozenset(name for name, operator in operators.discover().items() if operator.lower is not None)


@recorded
def emit(
    path: Path,
    *,
    target: str,
    images: Path | None = None,
    progress: Progress | None = None,
    **keywords: Unpack[BuildKeywords],
) -> Bundle:
    """Lower a Q/DQ ONNX graph for one target and write its bundle.

    What was repaired is told by ``repairs`` in ``measured/verification.json``; ``repaired`` says how far
    onnxruntime's outputs are apart before and after.

    Args:
        path: The ONNX file; its input is normalised with ``mean`` and ``std`` on pixels of 0…255.
        target: An int8 target.
        images: To verify with; None: the artifact is not run.
        progress: Hears the warnings, which ``measured/verification.json`` holds too; None: as for a build.
        keywords: Those of a build that have a meaning here; ``mean`` and ``std`` are needed.

    Raises:
        GraphError: The graph breaks a rule of the hub or of the target that cannot be repaired, or holds an
            operator that no backend knows.
        VerificationError: The repaired graph or the artifact does not compute what the graph says.
    """
    request = BuildRequest.of(**keywords)
    refuse_other_verbs(request, "emit")
    changed = resolve_preprocess(request.preprocess)
    if not {"mean", "std"} <= changed.keys():
        raise OptionError("the preprocessing is not clear", mend="pass both mean and std")
    output, name, labels = request.output.output, request.output.name, request.meaning.labels
    progress = Recorder.of(progress)
    wanted = resolve_targets([target], io=None)[0]
    runtime = backends.runtime(wanted.runtime)
    if wanted.scheme is None:
        raise OptionError(f"{target} is a float target", mend="choose an int8 target")
    if wanted.input != "float32" and not runtime.normalises_input:
        raise OptionError(f"{target} takes {wanted.input}", mend="choose a target with a float32 input")
    watched = Watched()
    watched.add([path])
    given = load(path)
    watched.add(source.files(path))
    graph, repairs = _repaired(given, path, wanted)
    channels, size, classes = _hub_shape(graph, path)
    own = Preprocess(size=size, mean=(0.0,) * channels, std=(1.0,) * channels)
    preprocess = prepared(own, None, changed)
    stem = _name(path)
    folder = resolve_output(output, stem if name is None else name, [wanted])[0]
    given_names, negative = sides(given_labels(labels), classes)
    names = resolve_labels(given_names, None, classes, labels)
    progress.warn_again(foreign_ends.warnings(graph, preprocess))
    meaning, already = _meaning(graph, path, preprocess, classes, request.meaning, progress)
    if not meaning.exclusive:
        progress.tell(
            f"task     {meaning.task}: a label is there if its sigmoid is {meaning.threshold:g} or more"
        )
    emission = Emission(
        *(folder.name, wanted, preprocess, names, meaning.probable),
        task=meaning.task,
        threshold=meaning.threshold,
        ends_in_probabilities=already,
        outputs=outputs_of(graph, meaning.task),
    )
    outputs = backends.artifact_outputs(emission)
    files: dict[str, bytes] = dict(runtime.part("emit").emit(graph, emission))
    files["README.md"] = readme(emission).encode()
    usage = runtime.usage()
    if usage is not None and hasattr(usage, "cautions"):
        progress.warn_again(usage.cautions(emission))
    if images is not None and request.output.golden:
        chosen = open_source(images, count=request.output.golden)
        watched.add(picture.path for picture in chosen.pictures)
        looked = survey(chosen.pictures, preprocess)
        for line in (*chosen.notes, *looked.lines):
            progress.tell(line)
        progress.warn_again((*chosen.warnings, *looked.warnings))
        inputs = np.concatenate(list(pixels(chosen, looked.preprocess)))
        progress.warn_again(skipped(chosen.bad))
        found = session_of(graph.SerializeToString(), preprocess, literal=True).infer(inputs)
        hub = dict(zip([output.name for output in outputs], found.values(), strict=True))
        files |= verify.golden_files(inputs, hub, hub)
    used = Used(wanted, meaning.task)
    progress.warn_again(plugged.warnings([used]))
    manifest = Manifest(
        name=folder.name,
        model="foreign",
        target=wanted.name,
        runtime=wanted.runtime,
        precision=wanted.precision,
        input=wanted.input,
        softmax=meaning.probable,
        cpu_class=resolve_cpu_class("auto"),
        preprocess=input_preprocess(wanted, preprocess),
        labels=names,
        classes=classes,
        runtime_properties=wanted.runtime_properties,
        digests=_digests(path, wanted, preprocess),
        tools=tool_versions(used),
        plugins={what: plugin.origin for what, plugin in used.plugins().items()},
        files={},
        task=meaning.task,
        threshold=meaning.threshold,
        negative=negative,
        outputs=outputs,
    )
    told = {
        "repairs": repairs,
        "repaired": _compared(given, graph, preprocess, progress) if repairs else None,
    }
    watched.refuse_changed()
    return write_bundle(folder, manifest, files, partial(_measure, told, progress))


def _repaired(graph: onnx.ModelProto, path: Path, target: Target) -> tuple[onnx.ModelProto, list[str]]:
    """The graph as the target takes it, and what was done to it."""
    try:
        repaired, done = repair.repair(graph)
        left = repair.remaining(repaired) if backends.runtime(target.runtime).tensorrt_rules else []
    except GraphError as error:
        raise GraphError(f"{path}: {error.what}", mend=error.mend) from None
    if left:
        more = "".join(f"; {other.what}" for other in left[1:])
        raise GraphError(f"{path}: {left[0].what}{more}", mend=left[0].mend)
    return repaired, done


def _compared(
    before: onnx.ModelProto, after: onnx.ModelProto, preprocess: Preprocess, progress: Recorder
) -> dict[str, Any]:
    """How far onnxruntime's outputs of both are apart, on one image of coloured patches.

    A graph that was typed FP16 may be any distance away: FP16 is a little noise, and networks differ in what
    they make of that.

    Raises:
        VerificationError: They are further apart than two runtimes may be on one graph.
    """
    height, width = preprocess.size
    patches = np.random.default_rng(0).integers(0, 256, (1, 8, 8, preprocess.channels), np.uint8)
    image = patches[:, np.arange(height)[:, None] * 8 // height, np.arange(width) * 8 // width]
    sizes = [
        prod(dimension.dim_value for dimension in value.type.tensor_type.shape.dim)
        for value in after.graph.value_info
    ]
    if max(sizes, default=0) > _MOST_VALUES:
        return _not_compared("a tensor is too large to try", progress)
    expected, found = (_outputs(graph, preprocess, image) for graph in (before, after))
    if expected is None or found is None or expected.ndim != 2 or expected.shape != found.shape:
        return _not_compared("onnxruntime does not run the file as it is", progress)
    same = np.array_equal(expected, found, equal_nan=True)
    distance = np.inf if same else sqnr(expected, found)
    if not distance >= verify.GOLDEN_FLOOR_DB:
        if not _is_half(before):
            raise VerificationError(
                f"the repaired graph is {distance:.1f} dB from the file in onnxruntime",
                mend="report what made the file, and with which options: a repair is wrong",
            )
        progress.warn(
            f"the repaired graph is {distance:.1f} dB from the file, which is typed FP16: check its accuracy "
            "on labelled images with edgeeff eval"
        )
    summary = "the same to the bit" if same else f"{distance:.1f} dB apart"
    return {"sqnr_db": json_number(distance), "summary": f"onnxruntime's outputs before and after: {summary}"}


def _not_compared(why: str, progress: Recorder) -> dict[str, Any]:
    progress.warn(f"{why}: the repaired graph was NOT COMPARED with the file")
    return {"sqnr_db": None, "summary": f"{why}: NOT COMPARED in onnxruntime"}


def _is_half(graph: onnx.ModelProto) -> bool:
    return any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in tensors.every_tensor(graph))


def _outputs(
    graph: onnx.ModelProto, preprocess: Preprocess, images: npt.NDArray[np.uint8]
) -> npt.NDArray[np.float32] | None:
    """Logits, float32 [N, classes]; None where onnxruntime refuses the graph."""
    try:
        session = session_of(graph.SerializeToString(), preprocess, literal=True).session
        (entry, *_) = session.get_inputs()
        fed = preprocess.normalise(images).astype(np.float16 if "float16" in entry.type else np.float32)
        return np.asarray(session.run(None, {entry.name: fed})[0], np.float32)
    except Exception:  # onnxruntime's errors share no base class
        return None


def _measure(
    told: Mapping[str, Any], progress: Recorder, bundle: Bundle
) -> dict[str, dict[str, Any] | bytes]:
    found = verify.check_golden(bundle)
    if found.status == "failed":
        raise VerificationError(
            f"{bundle.name} does not compute what its graph says: {found.summary}",
            mend="hold the graph's Q/DQ against the rules of the scheme (docs/architecture.md)",
        )
    check = bundle.check()
    progress.warn_again(check.warnings)
    report: dict[str, Any] = {"golden": found.to_json(), "check": check.summary, "not_run": found.summary}
    if check.ladder:
        report["ladder"] = dict(check.ladder)
    report["warnings"] = list(progress.warnings)
    report["record"] = record("verification", [bundle]).to_json()
    return {"verification.json": {**report, **told}, **check.files}


def _digests(path: Path, target: Target, preprocess: Preprocess) -> dict[str, str]:
    hub = digests.of_files(source.files(path))
    return {
        "hub": hub,
        "inputs": key_of(hub=hub, target=target_facts(target), preprocess=preprocess.to_json()),
    }


def _name(path: Path) -> str:
    """A bundle's name from its graph's file: without what only says the kind of graph (``b0.qdq.fp16.onnx``).

    Of ``net_v1.0.onnx`` and ``net_v1.5.onnx`` neither may take the other's place.
    """
    parts = path.name.split(".")
    while len(parts) > 1 and parts[-1].lower() in _KINDS_OF_GRAPH:
        parts.pop()
    return re.sub(r"[^\w-]+", "-", "-".join(parts)).strip("-") or "network"


def _meaning(
    graph: onnx.ModelProto,
    path: Path,
    preprocess: Preprocess,
    classes: int,
    said: request_parts.Meaning,
    progress: Recorder,
) -> tuple[Meaning, bool]:
    """What the outputs mean, and whether the graph itself makes probabilities at its end.

    Raises:
        OptionError: They cannot mean what was asked for.
    """
    ends_in = foreign_ends.made(graph, str(path))
    options = Options(
        task=resolve_task(said.task),
        threshold=None if said.threshold is None else checked_threshold(said.threshold),
        probabilities=bool(ends_in),
    )
    identity = Identity("foreign", str(path), path.stem, "", preprocess, classes, ends_in=ends_in)
    meaning = resolve_meaning(options, identity)
    progress.warn_again(task_warnings(meaning, identity, said.task))
    if ends_in == "sigmoid" and meaning.exclusive:
        raise OptionError(f"--task {meaning.task}, and {path} ends in a sigmoid", mend="leave out --task")
    return meaning, bool(ends_in)


def _hub_shape(graph: onnx.ModelProto, path: Path) -> tuple[int, tuple[int, int], int]:
    """Input channels, height and width, and the classes, if the graph keeps the hub's outward rules."""
    for node in graph.graph.node:
        if node.domain not in ("", "ai.onnx") or node.op_type not in OPERATORS:
            operator = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
            raise GraphError(
                f"{path}: operator {operator} of node {node.name!r} is known to no backend",
                mend=f"a hub graph is made of {', '.join(sorted(OPERATORS))}",
            )
    constants = {tensor.name for tensor in graph.graph.initializer}
    inputs = [value for value in graph.graph.input if value.name not in constants]
    shapes = [
        [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        for value in (*inputs, *graph.graph.output)
    ]
    match shapes:
        case [[1, (1 | 3 | 4) as channels, height, width], [1, classes]] if min(height, width, classes) > 0:
            if max(height, width) <= _LARGEST and classes <= _MOST_CLASSES:
                return channels, (height, width), classes
    raise GraphError(
        f"{path}: inputs and outputs are {shapes}",
        mend="export one input [1, 3, H, W] (or of 1 or 4 channels) and one output [1, classes], with "
        "static shapes",
    )

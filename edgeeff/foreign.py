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
from edgeeff.backends import Emission
from edgeeff.backends.onnxruntime.run import session_of
from edgeeff.backends.tensorrt import repair
from edgeeff.backends.tensorrt.lint.reading import load
from edgeeff.batch import LARGEST, ONE, Batch
from edgeeff.bundle import Bundle, write_bundle
from edgeeff.cache import key_of
from edgeeff.calibration.selection import pixels
from edgeeff.errors import GraphError, OptionError, VerificationError
from edgeeff.graph import operators
from edgeeff.graph.batch import of_graph, with_batch
from edgeeff.graph.importing import source, tensors
from edgeeff.graph.outputs import outputs_of
from edgeeff.harness import verify
from edgeeff.harness.golden import check_golden, golden_count, golden_files
from edgeeff.harness.record import record
from edgeeff.images.image_set import skipped
from edgeeff.images.survey import survey
from edgeeff.metrics import json_number, sqnr
from edgeeff.pipeline import artifact, plugged, preparing
from edgeeff.pipeline.context import Context
from edgeeff.pipeline.options import Options
from edgeeff.pipeline.plugged import Used
from edgeeff.pipeline.request import BuildRequest, refuse_other_verbs
from edgeeff.pipeline.request import parts as request_parts
from edgeeff.pipeline.resolve.folders import resolve_output
from edgeeff.pipeline.resolve.meaning import resolve_meaning, resolve_task, task_warnings
from edgeeff.pipeline.resolve.preprocessing import prepared, resolve_preprocess
from edgeeff.pipeline.resolve.quantise import resolve_cpu_class
from edgeeff.pipeline.resolve.targets import resolve_targets
from edgeeff.pipeline.stages.reference import infer
from edgeeff.preprocess import Preprocess
from edgeeff.progress import Progress, recorded
from edgeeff.recipes import open_source
from edgeeff.target import Target
from edgeeff.tasks import Meaning, Output, checked_threshold
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

    ``measured/verification.json`` says what was repaired, and how far onnxruntime's outputs are apart by it.

    Args:
        path: The ONNX file; its input is normalised with ``mean`` and ``std`` on pixels of 0…255.
        target: An int8 target.
        images: To verify with; None: the artifact is not run.
        progress: Hears the warnings, which ``measured/verification.json`` holds too; None: as for a build.
        keywords: Those of a build that have a meaning here; ``mean`` and ``std`` are needed.

    Raises:
        GraphError: The graph breaks a rule that cannot be repaired, or holds an operator of no backend.
        VerificationError: The repaired graph or the artifact does not compute what the graph says.
    """
    request = BuildRequest.of(**keywords)
    refuse_other_verbs(request, "emit")
    changed = _normalisation(request)
    wanted, context = _target(target), Context.of(progress=progress)
    given = _loaded(path, context)
    graph, repairs = _repaired(given, path, wanted)
    batch = _batch(graph, path, request.output.batch, context)
    backends.refuse_batch([wanted], batch)
    graph = _of_one(graph, path)
    identity = _identity(graph, path, changed)
    classes = preparing.name_classes(request, identity, context)
    folder = resolve_output(request.output.output, request.output.name or _name(path), [wanted])[0]
    context.warn_all(foreign_ends.warnings(graph, identity.preprocess))
    meaning = _meaning(identity, request.meaning, context)
    outputs = outputs_of(graph, meaning.task)
    emission = _emission(folder.name, wanted, identity, classes.names, meaning, outputs, batch)
    files = artifact.lowered(graph, emission)
    artifact.caution(emission, context)
    files |= _golden(graph, emission, images, golden_count(request.output.golden, batch), context)
    used = Used(wanted, meaning.task)
    context.warn_all(plugged.warnings([used]))
    manifest = artifact.manifest(
        emission,
        used,
        model="foreign",
        classes=identity.classes,
        cpu_class=resolve_cpu_class("auto"),
        digests=_digests(path, wanted, identity.preprocess, batch),
        negative=classes.negative,
    )
    compared = _compared(given, graph, identity.preprocess, context) if repairs else None
    context.watched.refuse_changed()
    told = {"repairs": repairs, "repaired": compared}
    return write_bundle(folder, manifest, files, partial(_measure, told, context))


def _emission(
    name: str,
    target: Target,
    identity: Identity,
    labels: tuple[str, ...],
    meaning: Meaning,
    outputs: tuple[Output, ...],
    batch: Batch,
) -> Emission:
    """What the target's ``emit`` is told beside the graph."""
    return Emission(
        *(name, target, identity.preprocess, labels, meaning.probable),
        task=meaning.task,
        threshold=meaning.threshold,
        ends_in_probabilities=bool(identity.ends_in),
        outputs=outputs,
        batch=batch,
    )


def _loaded(path: Path, context: Context) -> onnx.ModelProto:
    """The graph as its file has it, watched from before it is read."""
    context.watched.add([path])
    graph = load(path)
    context.watched.add(source.files(path))
    return graph


def _normalisation(request: BuildRequest) -> dict[str, Any]:
    """What the user says of the preprocessing: mean and std, at least.

    Raises:
        OptionError: One of them is not said.
    """
    changed = resolve_preprocess(request.preprocess)
    if not {"mean", "std"} <= changed.keys():
        raise OptionError("the preprocessing is not clear", mend="pass both mean and std")
    return changed


def _target(name: str) -> Target:
    """An int8 target that takes such a graph.

    Raises:
        OptionError: It is a float target, or the graph would need the normalisation before it.
        UnknownTargetError: No such target.
    """
    wanted = resolve_targets([name], io=None)[0]
    if wanted.scheme is None:
        raise OptionError(f"{name} is a float target", mend="choose an int8 target")
    if wanted.input != "float32" and not backends.runtime(wanted.runtime).normalises_input:
        raise OptionError(f"{name} takes {wanted.input}", mend="choose a target with a float32 input")
    return wanted


def _golden(
    graph: onnx.ModelProto, emission: Emission, images: Path | None, count: int, context: Context
) -> dict[str, bytes]:
    """Golden inputs, and what the graph makes of them, as files of the bundle; none without images."""
    if images is None or not count:
        return {}
    chosen = open_source(images, count=count)
    context.watched.add(picture.path for picture in chosen.pictures)
    looked = survey(chosen.pictures, emission.preprocess)
    for line in (*chosen.notes, *looked.lines):
        context.progress.tell(line)
    context.warn_all((*chosen.warnings, *looked.warnings))
    inputs = np.concatenate(list(pixels(chosen, looked.preprocess)))
    context.warn_all(skipped(chosen.bad))
    content = graph.SerializeToString()
    found = infer(content, emission.preprocess, [inputs], raw=False, literal=True)
    names = [output.name for output in backends.artifact_outputs(emission)]
    hub = dict(zip(names, found.values(), strict=True))
    return golden_files(inputs, hub, hub)


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
    before: onnx.ModelProto, after: onnx.ModelProto, preprocess: Preprocess, context: Context
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
        return _not_compared("a tensor is too large to try", context)
    expected, found = (_outputs(graph, preprocess, image) for graph in (before, after))
    if expected is None or found is None or expected.ndim != 2 or expected.shape != found.shape:
        return _not_compared("onnxruntime does not run the file as it is", context)
    same = np.array_equal(expected, found, equal_nan=True)
    distance = np.inf if same else sqnr(expected, found)
    if not distance >= verify.GOLDEN_FLOOR_DB:
        if not _is_half(before):
            raise VerificationError(
                f"the repaired graph is {distance:.1f} dB from the file in onnxruntime",
                mend="report what made the file, and with which options: a repair is wrong",
            )
        context.warn(
            f"the repaired graph is {distance:.1f} dB from the file, which is typed FP16: check its accuracy "
            "on labelled images with edgeeff eval"
        )
    summary = "the same to the bit" if same else f"{distance:.1f} dB apart"
    return {"sqnr_db": json_number(distance), "summary": f"onnxruntime's outputs before and after: {summary}"}


def _not_compared(why: str, context: Context) -> dict[str, Any]:
    context.warn(f"{why}: the repaired graph was NOT COMPARED with the file")
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
        if isinstance(entry.shape[0], int):  # a run of several images: one of them is enough here
            fed = np.repeat(fed, entry.shape[0], axis=0)
        return np.asarray(session.run(None, {entry.name: fed})[0], np.float32)[:1]
    except Exception:  # onnxruntime's errors share no base class
        return None


def _measure(told: Mapping[str, Any], context: Context, bundle: Bundle) -> dict[str, dict[str, Any] | bytes]:
    found = check_golden(bundle)
    if found.status == "failed":
        raise VerificationError(
            f"{bundle.name} does not compute what its graph says: {found.summary}",
            mend="hold the graph's Q/DQ against the rules of the scheme (docs/architecture.md)",
        )
    check = bundle.check()
    context.warn_all(check.warnings)
    report: dict[str, Any] = {"golden": found.to_json(), "check": check.summary, "not_run": found.summary}
    if check.ladder:
        report["ladder"] = dict(check.ladder)
    report["warnings"] = list(context.warnings)
    report["record"] = record("verification", [bundle]).to_json()
    return {"verification.json": {**report, **told}, **check.files}


def _digests(path: Path, target: Target, preprocess: Preprocess, batch: Batch) -> dict[str, str]:
    hub, facts = digests.of_files(source.files(path)), artifact.target_facts(target)
    inputs = key_of(hub=hub, target=facts, preprocess=preprocess.to_json(), batch=batch.to_json())
    return {"hub": hub, "inputs": inputs}


def _batch(graph: onnx.ModelProto, path: Path, asked: int | str | None, context: Context) -> Batch:
    """How many images a run of the artifact takes: those asked for, else the graph's own.

    Raises:
        GraphError: The graph's own are more than any runtime takes.
    """
    if asked is not None:
        return Batch.read(asked)
    own, tell = of_graph(graph), context.progress.tell
    if own.dynamic:
        tell("batch    one image in a run; the graph takes any number: --batch 4, --batch dynamic")
        return ONE
    if own.size > LARGEST:
        raise GraphError(
            f"{path}: its input is of {own.size} images", mend=f"say --batch, a number from 1 to {LARGEST}"
        )
    if own != ONE:
        tell(f"batch    {own} images in a run, as the graph has it; --batch 1 makes it one")
    return own


def _of_one(graph: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """The graph with one image in a run, as all that is asked of it here wants it."""
    _refuse_operators(graph, path)
    try:
        return with_batch(graph, ONE)
    except GraphError as error:
        raise GraphError(f"{path}: {error.what}", mend=error.mend) from None


def _name(path: Path) -> str:
    """A bundle's name from its graph's file: without what only says the kind of graph (``b0.qdq.fp16.onnx``).

    Of ``net_v1.0.onnx`` and ``net_v1.5.onnx`` neither may take the other's place.
    """
    parts = path.name.split(".")
    while len(parts) > 1 and parts[-1].lower() in _KINDS_OF_GRAPH:
        parts.pop()
    return re.sub(r"[^\w-]+", "-", "-".join(parts)).strip("-") or "network"


def _identity(graph: onnx.ModelProto, path: Path, changed: Mapping[str, Any]) -> Identity:
    """What the graph says of itself, and the preprocessing that the user says.

    Raises:
        GraphError: It breaks one of the hub's outward rules.
    """
    channels, size, classes = _hub_shape(graph, path)
    own = Preprocess(size=size, mean=(0.0,) * channels, std=(1.0,) * channels)
    preprocess, ends_in = prepared(own, None, changed), foreign_ends.made(graph, str(path))
    return Identity("foreign", str(path), path.stem, "", preprocess, classes, ends_in=ends_in)


def _meaning(identity: Identity, said: request_parts.Meaning, context: Context) -> Meaning:
    """What the outputs mean.

    Raises:
        OptionError: They cannot mean what was asked for.
    """
    options = Options(
        task=resolve_task(said.task),
        threshold=None if said.threshold is None else checked_threshold(said.threshold),
        probabilities=bool(identity.ends_in),
    )
    meaning = resolve_meaning(options, identity)
    context.warn_all(task_warnings(meaning, identity, said.task))
    if identity.ends_in == "sigmoid" and meaning.exclusive:
        raise OptionError(
            f"--task {meaning.task}, and {identity.source} ends in a sigmoid", mend="leave out --task"
        )
    if not meaning.exclusive:
        context.progress.tell(
            f"task     {meaning.task}: a label is there if its sigmoid is {meaning.threshold:g} or more"
        )
    return meaning


def _refuse_operators(graph: onnx.ModelProto, path: Path) -> None:
    for node in graph.graph.node:
        if node.domain not in ("", "ai.onnx") or node.op_type not in OPERATORS:
            operator = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
            raise GraphError(
                f"{path}: operator {operator} of node {node.name!r} is known to no backend",
                mend=f"a hub graph is made of {', '.join(sorted(OPERATORS))}",
            )


def _hub_shape(graph: onnx.ModelProto, path: Path) -> tuple[int, tuple[int, int], int]:
    """Input channels, height and width, and the classes, if the graph keeps the hub's outward rules."""
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
        mend="export one input [N, 3, H, W] (or of 1 or 4 channels) and one output [N, classes], with "
        "static shapes but for N",
    )

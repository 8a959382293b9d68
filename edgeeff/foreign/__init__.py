"""Bundles from a Q/DQ graph that somebody else quantised: it enters at the hub.

The graph must keep the hub's rules (docs/architecture.md, :mod:`rules`): standard operators, one input
[1, 3, H, W] and one output [1, classes], or features, static. What another tool wrote otherwise is repaired
where the graph computes the same after it (:mod:`repairing`: every runtime is the better for it), and its
scales are taken as they are. There is no float graph to hold the artifact against, so what is verified is
that it computes what the Q/DQ graph says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from edgeeff import backends, digests, foreign_ends
from edgeeff.backends import Emission
from edgeeff.backends.tensorrt.lint.reading import load
from edgeeff.batch import Batch
from edgeeff.bundle import Bundle, Manifest, write_bundle
from edgeeff.cache import key_of
from edgeeff.calibration.selection import pixels
from edgeeff.detection import Geometry
from edgeeff.errors import OptionError, VerificationError
from edgeeff.foreign import detectors, repairing, rules, tflite_file
from edgeeff.graph.importing import source
from edgeeff.graph.order import turn_around_quantised
from edgeeff.graph.outputs import outputs_of
from edgeeff.harness.golden import check_golden, golden_count, golden_files
from edgeeff.harness.record import record
from edgeeff.images.image_set import skipped
from edgeeff.images.survey import survey
from edgeeff.pipeline import artifact, plugged, preparing
from edgeeff.pipeline.context import Context
from edgeeff.pipeline.plugged import Used
from edgeeff.pipeline.request import BuildRequest, refuse_other_verbs
from edgeeff.pipeline.resolve.detection import boxes_lines, placed, resolve_detection, resolve_detector
from edgeeff.pipeline.resolve.folders import resolve_output
from edgeeff.pipeline.resolve.meaning import resolve_task
from edgeeff.pipeline.resolve.preprocessing import in_rgb, order_warning, resolve_preprocess
from edgeeff.pipeline.resolve.quantise import resolve_cpu_class
from edgeeff.pipeline.resolve.source import resolve_order
from edgeeff.pipeline.resolve.targets import resolve_targets
from edgeeff.pipeline.stages.reference import infer
from edgeeff.preprocess import Preprocess
from edgeeff.progress import Progress, recorded
from edgeeff.recipes import open_source
from edgeeff.target import Target
from edgeeff.tasks import DETECTION, Meaning, Output
from edgeeff.zoo.sources import Identity, Order

if TYPE_CHECKING:
    from typing import Unpack  # Python 3.11's; its users are annotations, which nothing evaluates

    from edgeeff.pipeline.request.keywords import BuildKeywords

#: Ends of a graph's file name that say its kind alone.
_KINDS_OF_GRAPH = frozenset(
    {"onnx", "tflite", "qdq", "fp16", "fp32", "int8", "uint8", "quant", "quantized", "quantised"}
)


@recorded
def emit(
    path: Path,
    *,
    target: str,
    images: Path | None = None,
    geometry: Geometry | None = None,
    progress: Progress | None = None,
    **keywords: Unpack[BuildKeywords],
) -> Bundle:
    """Lower a Q/DQ ONNX graph for one target and write its bundle; a detector's .tflite is taken as it is.

    ``measured/verification.json`` says what was repaired, and how far onnxruntime's outputs are apart by it.

    Args:
        path: The ONNX file; its input is normalised with ``mean`` and ``std`` on pixels of 0…255. Or a
            .tflite that makes boxes itself, see :mod:`tflite_file`.
        target: An int8 target.
        images: To verify with; None: the artifact is not run.
        geometry: Anchors of a detector, at any size; None: ``anchor_scale`` and ``anchor_ratios`` say them.
        progress: Hears the warnings, which ``measured/verification.json`` holds too; None: as for a build.
        keywords: Those of a build that have a meaning here; ``mean`` and ``std`` are needed.

    Raises:
        GraphError: The graph breaks a rule that cannot be repaired, or holds an operator of no backend.
        VerificationError: The repaired graph or the artifact does not compute what the graph says.
    """
    request = BuildRequest.of(**keywords)
    refuse_other_verbs(request, "emit")
    if path.suffix.lower() == ".tflite":
        context = Context.of(progress=progress)
        return tflite_file.wrap(path, resolve_targets([target], io=None)[0], request, _name(path), context)
    changed, order = _normalisation(request), resolve_order(request.source.channels)
    wanted, context = _target(target), Context.of(progress=progress)
    given = _loaded(path, context)
    graph, repairs = repairing.repaired(given, path, wanted)
    batch = rules.batch_of(graph, path, request.output.batch, context)
    backends.refuse_batch([wanted], batch)
    graph = rules.of_one(graph, path)
    identity = _identity(graph, path, changed, request, geometry)
    _tell(graph, identity, context)
    compared = repairing.compared(given, graph, identity.preprocess, context) if repairs else None
    graph, identity = _in_rgb(graph, identity, order, context)
    classes = preparing.name_classes(request, identity, context)
    folder = resolve_output(request.output.output, request.output.name or _name(path), [wanted])[0]
    meaning = _meaning(request, identity, wanted, batch, context)
    outputs = outputs_of(graph, meaning.task)
    emission = _emission(folder.name, wanted, identity, classes.names, meaning, outputs, batch)
    files = artifact.lowered(graph, emission)
    artifact.caution(emission, context)
    count = golden_count(request.output.golden, batch, backends.artifact_outputs(emission))
    files |= _golden(graph, emission, images, count, context)
    used, made_from = Used(wanted, meaning.task), _digests(path, wanted, identity.preprocess, batch, order)
    context.warn_all(plugged.warnings([used]))
    manifest = _manifest(emission, used, identity, made_from, classes.negative)
    context.watched.refuse_changed()
    told = {"repairs": repairs, "repaired": compared}
    return write_bundle(folder, manifest, files, partial(_measure, told, context))


def _identity(
    graph: onnx.ModelProto,
    path: Path,
    changed: Mapping[str, Any],
    request: BuildRequest,
    geometry: Geometry | None,
) -> Identity:
    """What the graph is of: a detector where the task says so."""
    task = resolve_task(request.meaning.task)
    if task == DETECTION:
        return detectors.identity_of(graph, path, changed, request.detector, geometry)
    return rules.identity_of(graph, path, changed, task)


def _meaning(
    request: BuildRequest, identity: Identity, target: Target, batch: Batch, context: Context
) -> Meaning:
    """What the outputs mean; of a detector also who makes its boxes, which is told."""
    said = resolve_detector(request.detector)
    detection = resolve_detection(said, identity, identity.preprocess.size)
    meaning = rules.meaning_of(identity, request.meaning, context, detection)
    for line in boxes_lines(meaning, [target], said.nms, batch):
        context.progress.tell(line)
    return placed(meaning, target, said.nms, batch)


def _manifest(
    emission: Emission, used: Used, identity: Identity, made_from: Mapping[str, str], negative: str
) -> Manifest:
    return artifact.manifest(
        emission,
        used,
        model="foreign",
        classes=identity.classes,
        cpu_class=resolve_cpu_class("auto"),
        digests=made_from,
        negative=negative,
    )


def _tell(graph: onnx.ModelProto, identity: Identity, context: Context) -> None:
    for line in identity.notes:
        context.progress.tell(line)
    context.warn_all(
        foreign_ends.warnings(
            graph, identity.preprocess, logits=not identity.outputs and identity.geometry is None
        )
    )


def _in_rgb(
    graph: onnx.ModelProto, identity: Identity, order: Order | None, context: Context
) -> tuple[onnx.ModelProto, Identity]:
    """The graph and its preprocessing, where it takes BGR made such that it takes RGB."""
    if warning := order_warning(identity.preprocess, order):
        context.warn(warning)
    preprocess, line = in_rgb(identity.preprocess, order)
    if line is None:
        return graph, identity
    context.progress.tell(line)
    return turn_around_quantised(graph), replace(identity, preprocess=preprocess)


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
        detection=meaning.detection,
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
    named, meaning = backends.artifact_outputs(emission), emission.meaning
    if emission.ends_in_probabilities:  # as the graph's outputs are, then
        meaning = replace(meaning, probable=False)
    hub = meaning.outputs(found, named)
    return golden_files(inputs, hub, hub)


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


def _digests(
    path: Path, target: Target, preprocess: Preprocess, batch: Batch, order: Order | None
) -> dict[str, str]:
    hub, facts = digests.of_files(source.files(path)), artifact.target_facts(target)
    turned = {"channels": order} if order == "bgr" else {}
    inputs = key_of(hub=hub, target=facts, preprocess=preprocess.to_json(), batch=batch.to_json(), **turned)
    return {"hub": hub, "inputs": inputs}


def _name(path: Path) -> str:
    """A bundle's name from its graph's file: without what only says the kind of graph (``b0.qdq.fp16.onnx``).

    Of ``net_v1.0.onnx`` and ``net_v1.5.onnx`` neither may take the other's place.
    """
    parts = path.name.split(".")
    while len(parts) > 1 and parts[-1].lower() in _KINDS_OF_GRAPH:
        parts.pop()
    return re.sub(r"[^\w-]+", "-", "-".join(parts)).strip("-") or "network"

"""The way from a checkpoint to verified bundles, top to bottom.

    checkpoint ─▶ float graph ─▶ statistics ─▶ plan ─▶ hub graph ─▶ artifact ─▶ verified bundle

Every step's result is cached by the content it was made from, so a second target, or a second build, does
only what is new. Nothing is written until it is whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeeff import backends
from edgeeff.bundle import Bundle, Manifest, write_bundle
from edgeeff.cache import Cache, key_of, versions
from edgeeff.calibration.selection import select
from edgeeff.errors import BundleError, MissingFileError
from edgeeff.harness.record import record
from edgeeff.images.survey import survey
from edgeeff.labels import are_known, given
from edgeeff.memory import give_back
from edgeeff.pipeline import mixed, plugged, stages, steps
from edgeeff.pipeline.context import Context
from edgeeff.pipeline.plugged import Used
from edgeeff.pipeline.request import BuildRequest, takes_options
from edgeeff.pipeline.resolve.folders import refuse_output, resolve_output
from edgeeff.pipeline.resolve.images import in_files, paths, photos_line
from edgeeff.pipeline.resolve.labels import label_warnings, no_labels_line, resolve_labels, sides
from edgeeff.pipeline.resolve.meaning import resolve_meaning, task_line, task_warnings
from edgeeff.pipeline.resolve.preprocessing import (
    in_rgb,
    order_warning,
    prepared,
    preprocess_line,
    refuse_second_normalisation,
    resolve_preprocess,
)
from edgeeff.pipeline.resolve.quantise import resolve_options
from edgeeff.pipeline.resolve.source import network_line, resolve_source, unsettled, whose
from edgeeff.pipeline.resolve.targets import resolve_targets
from edgeeff.pipeline.stages import doubts
from edgeeff.pipeline.stages.identity import identify
from edgeeff.pipeline.verifying import verify_bundle
from edgeeff.progress import Progress, Recorder, recorded
from edgeeff.quantization import budget

if TYPE_CHECKING:
    from typing import Unpack  # Python 3.11's; its users are annotations, which nothing evaluates

    from torch import nn

    from edgeeff.pipeline.request.keywords import BuildKeywords

#: Distributions whose version can change a bundle's bytes, beside those of its runtime.
TOOLS = ("edgeeff", "torch", "onnx", "onnx-ir", "onnxsim", "onnxruntime", "numpy", "pillow")


_REPLACED = "a bundle for {}×{} pixels stood there, and is replaced by one for {}×{}"


@dataclass(frozen=True)
class Built:
    """One bundle of a build.

    Args:
        bundle: Where it stands.
        unchanged: It was there already, made from the same inputs, and was left alone.
        verification: The artifact against the float graph on held-out images; None where it cannot run here.
        hub: The hub graph in onnxruntime against the float graph, on the same images; None for float targets.
        not_run: Why it was not run, if it was not.
        check: What the runtime made of it, one line.
        warnings: What the user must not miss: of the network and the images, and of this bundle. Those of a
            bundle that was left alone are the ones it was built with.
    """

    bundle: Bundle
    unchanged: bool
    verification: dict[str, Any] | None
    hub: dict[str, Any] | None
    not_run: str | None
    check: str
    warnings: tuple[str, ...]


@takes_options
@recorded
def build(
    request: BuildRequest | str | nn.Module | None = None,
    /,
    *,
    cache: Cache | None = None,
    progress: Progress | None = None,
    **keywords: Unpack[BuildKeywords],
) -> list[Built]:
    """Build a trained network for one or several targets, from one calibration.

    Args:
        request: All that is said of the build; or a network's name (``model``), or a torch module in eval
            mode (``checkpoint``); None: the keywords say it all.
        cache: Where the results of stages are kept; None: the user's.
        progress: Hears what is going on; None: warnings go to Python's ``warnings``, as
            :class:`~edgeeff.errors.EdgeeffWarning`, each once. They are in ``Built.warnings`` either way.
        keywords: Of :class:`BuildRequest`, instead of what ``request`` says.

    Raises:
        EdgeeffError: One of its kinds, for bad input; nothing half-written is left. Its ``warnings`` are what
            had been warned of by then.
    """
    progress = Recorder.of(progress)
    with in_files(BuildRequest.from_any(request, **keywords), progress) as whole:
        return run(whole, cache=cache, progress=progress)


def run(request: BuildRequest, *, cache: Cache | None, progress: Recorder) -> list[Built]:
    """The story of :func:`build`, of a request that is whole."""
    options = resolve_options(request)
    output, name = request.output.output, request.output.name
    refuse_output(output, name)
    wanted = resolve_targets(request.output.targets, request.output.io)
    labels, golden, autotune = request.meaning.labels, request.output.golden, request.quantise.autotune
    cpu, named = options.cpu_class, given(labels)
    work = prepare(
        request,
        options,
        quantises=any(target.scheme for target in wanted),
        cache=cache,
        progress=progress,
    )
    identity, preprocess, images = work.identity, work.preprocess, work.images
    given_names, negative = sides(named or identity.labels, identity.classes)
    work.labels = tuple(given_names) if given_names else None
    if negative and given_names:
        progress.tell(f"labels   the logit is {given_names[0]!r}, the second of two; without it {negative!r}")
    names = resolve_labels(given_names, identity.labels, identity.classes, labels)
    if not are_known(names):
        progress.tell(no_labels_line(identity.classes))
    progress.warn_again(label_warnings(names))
    name = identity.model if name is None else name
    folders = resolve_output(output, name, wanted)
    if autotune:
        work.tune(wanted, output / f"{name}-tuning.json")
    judged = work.classes_named(images.validation)
    work.cache.watched.refuse_changed()
    inputs = {
        "source": work.source.digest,
        "model": identity.model,
        "conventions": vars(identity.conventions) if identity.conventions else None,
        "chosen": [work.asked.prefix, work.asked.head],
        "preprocess": preprocess.to_json(),
        "channels": work.asked.channels,
        "calibration": images.calibration.digest(),
        "golden": images.validation.digest() if golden or options.budget else None,
        "labels": [negative, names],
        "classes": mixed.classes_digest(judged.labels) if work.asks_top_1 else None,
        "meaning": vars(work.meaning),
        "options": vars(work.options)
        | {
            "effort": work.recipe.to_json(),
            "budget": vars(options.budget) if options.budget else None,
            "plan": options.plan.digest if options.plan else None,
            "tuning": dict(work.options.tuning.choices) if work.options.tuning else None,
        },
        "version": steps.VERSION,
        "stages": stages.versions(),
    }
    uses = {t.name: Used(t, work.meaning.task, work.recipe, identity.naming) for t in wanted}
    progress.warn_again(plugged.warnings(uses.values()))
    keys = {
        target: key_of(
            **inputs,
            tools=tool_versions(used),
            plugins=used.facts(),
            target=steps.target_facts(used.target),
        )
        for target, used in uses.items()
    }
    built, general = [], progress.warnings
    for target, folder in zip(wanted, folders, strict=True):
        standing = _standing(folder, keys[target.name], images.validation.digest(), general, progress)
        if standing is not None:
            built.append(standing)
            continue
        with work.cache.watched, progress.recording(general) as warned:
            if (size := _replaced_size(folder)) not in (None, preprocess.size):
                progress.warn(_REPLACED.format(*size, *preprocess.size), about=folder.name)
            target = work.served(target)
            hub = work.hub(target)
            progress.stage(f"{folder.name}: {target.summary}")
            emission = work.emission(target, hub, names, folder.name)
            manifest = Manifest(
                name=folder.name,
                model=identity.model,
                target=target.name,
                runtime=target.runtime,
                precision=target.precision,
                input=target.input,
                softmax=work.meaning.probable,
                cpu_class=cpu,
                preprocess=backends.input_preprocess(target, preprocess),
                labels=names,
                classes=identity.classes,
                runtime_properties=target.runtime_properties,
                digests={"inputs": keys[target.name], **work.digests(hub)},
                tools=tool_versions(uses[target.name]),
                plugins={what: plugin.origin for what, plugin in uses[target.name].plugins().items()},
                files={},
                origin=whose(identity),
                task=work.meaning.task,
                threshold=work.meaning.threshold,
                negative=negative,
                outputs=backends.artifact_outputs(emission),
            )
            files = work.emit(emission, hub)
            built.append(_write(folder, manifest, files, work, hub, warned))
            del files, hub  # before the next target makes its own
            give_back()
    _repeat(built, progress)
    return built


def prepare(
    request: BuildRequest,
    options: steps.Options,
    *,
    quantises: bool = True,
    cache: Cache | None = None,
    progress: Recorder,
) -> steps.Work:
    """The steps of a build, ready to be taken: the network is known, the images are chosen.

    Args:
        request: What is built.
        options: What it says of every target (:func:`~edgeeff.pipeline.resolve.quantise.resolve_options`).
        quantises: Whether any target needs calibration.
        cache: Where the results of steps are kept; None: the user's.
        progress: Hears what is going on.
    """
    asked = resolve_source(request)
    changed = resolve_preprocess(request.preprocess)
    calibration, validation = paths(request)
    context = Context.of(cache, progress)
    source = identify(asked, context)
    identity = source.identity
    refuse_second_normalisation(identity, changed)
    own = prepared(identity.preprocess, asked.size, changed)
    preprocess, turned = in_rgb(own, asked.channels)
    progress.tell(network_line(identity))
    by_option = changed | ({"size": asked.size} if asked.size else {})
    settling = by_option | ({"channels": asked.channels} if asked.channels else {})
    progress.warn_again(unsettled(identity.warnings, settling))
    if doubt := order_warning(own, asked.channels):
        progress.warn(doubt)
    if turned:
        progress.tell(turned)
    meaning = resolve_meaning(options, identity)
    progress.warn_again(task_warnings(meaning, identity, options.task))
    if not meaning.exclusive:
        progress.tell(task_line(meaning, identity))
        budget.refuse_drop(options.budget, meaning.task)
    progress.tell(preprocess_line(preprocess, by_option, identity.said))
    images = select(
        *(calibration, validation, request.images.count, request.images.seed),
        calibrates=quantises,
    )
    pictures = [*images.calibration.pictures, *images.validation.pictures]
    context.watched.add(picture.path for picture in pictures)
    found = survey(pictures, preprocess)
    preprocess = found.preprocess
    for line in dict.fromkeys((*images.calibration.notes, *images.validation.notes, *found.lines)):
        progress.tell(line)
    progress.warn_again(found.warnings)
    at_hand = quantises or calibration is not None
    doubts.settle(source, preprocess, images.calibration if at_hand else None, context)
    if images.warning and (quantises or images.noise):
        progress.warn(images.warning)
    if not at_hand and validation is None and not images.noise:
        progress.tell(photos_line(len(images.validation.pictures)))
    progress.warn_again((*images.calibration.warnings, *images.validation.warnings))
    forced = request.images.force_calibration
    return steps.Work(source, preprocess, images, options, context, forced, meaning=meaning)


def tool_versions(used: Used) -> dict[str, str]:
    """The installed versions that the bytes of a bundle depend on."""
    return versions(*TOOLS, *backends.runtime(used.target.runtime).tools) | used.tools()


def _write(
    folder: Path,
    manifest: Manifest,
    files: dict[str, bytes],
    work: steps.Work,
    hub: steps.Hub,
    warned: Iterable[str],
) -> Built:
    """Write a bundle into a temporary place, verify it there, and let it stand only then.

    ``warned`` grows while it is verified.
    """
    found: dict[str, Any] = {}

    def measure(staged: Bundle) -> dict[str, dict[str, Any] | bytes]:
        report, kept = verify_bundle(work, staged, hub)
        work.cache.watched.refuse_changed()
        found.update(report, warnings=list(warned))
        own = {
            "validation": work.images.validation.digest(),
            "record": record("verification", [staged]).to_json(),
        }
        return {"verification.json": {**found, **own}, **kept}

    bundle = write_bundle(folder, manifest, files, measure)
    return _built(bundle, found, unchanged=False)


def _built(bundle: Bundle, found: dict[str, Any], *, unchanged: bool) -> Built:
    return Built(
        bundle=bundle,
        unchanged=unchanged,
        verification=found.get("artifact"),
        hub=found.get("hub"),
        not_run=found.get("not_run"),
        check=found.get("check", ""),
        warnings=tuple(found.get("warnings", ())),
    )


def _standing(
    folder: Path, inputs: str, validation: str, general: Iterable[str], progress: Recorder
) -> Built | None:
    """The bundle that stands there, if it was made from the same inputs and is whole.

    Its warnings are those that it was built with, after ``general`` ones of this build.
    """
    try:
        if not any(folder.iterdir()):
            return None
        bundle = Bundle.load(folder)
        found, damaged = bundle.verification()
    except (BundleError, MissingFileError, OSError):  # none, or another build is moving its own in
        return None
    if damaged:
        progress.warn(damaged, about=folder.name)
    if bundle.manifest.digests.get("inputs") != inputs or not found or found.get("validation") != validation:
        return None
    if bundle.altered():
        return None
    found["warnings"] = dict.fromkeys([*general, *found.get("warnings", ())])
    return _built(bundle, found, unchanged=True)


def _replaced_size(folder: Path) -> tuple[int, int] | None:
    """Height and width of the input of the bundle that stands there, if one does."""
    try:
        return Bundle.load(folder).manifest.preprocess.size
    except (BundleError, MissingFileError, OSError):
        return None


def _repeat(built: Sequence[Built], progress: Recorder) -> None:
    """Warn again of what the bundles that were left alone were built with."""
    again: dict[str, list[str]] = {}
    for one in built:
        for text in one.warnings if one.unchanged else ():
            again.setdefault(text, []).append(one.bundle.name)
    progress.repeat(again)

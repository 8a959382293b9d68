"""The way from a checkpoint to verified bundles, top to bottom.

    checkpoint ─▶ float graph ─▶ statistics ─▶ plan ─▶ hub graph ─▶ artifact ─▶ verified bundle

Every step's result is cached by the content it was made from, so a second target, or a second build, does
only what is new. Nothing is written until it is whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeeff import backends
from edgeeff.bundle import Bundle, Manifest, write_bundle
from edgeeff.cache import Cache, key_of, versions
from edgeeff.calibration.selection import select
from edgeeff.errors import BundleError, MissingFileError
from edgeeff.harness.record import record
from edgeeff.harness.verify import GOLDEN_IMAGES
from edgeeff.images.survey import survey
from edgeeff.labels import are_known, given
from edgeeff.memory import give_back
from edgeeff.pipeline import mixed, request, stages, steps
from edgeeff.pipeline.context import Context
from edgeeff.pipeline.stages import doubts
from edgeeff.pipeline.stages.identity import identify
from edgeeff.pipeline.verifying import verify_bundle
from edgeeff.preprocess import Channels
from edgeeff.progress import Progress, Recorder, recorded
from edgeeff.quantization import budget
from edgeeff.target import Target
from edgeeff.tasks import checked_threshold

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


@recorded
def build(
    model: str | None = None,
    *,
    targets: Sequence[str | Target],
    checkpoint: Path | str | None = None,
    weights: str | None = None,
    calibration: Path | str | None = None,
    validation: Path | str | None = None,
    output: Path | str = "dist",
    name: str | None = None,
    size: int | tuple[int, int] | None = None,
    mean: Channels | None = None,
    std: Channels | None = None,
    crop: float | None = None,
    interpolation: str | None = None,
    squash: bool | None = None,
    exif: bool | None = None,
    white: float | None = None,
    channels: str | None = None,
    padding: str | None = None,
    bn_epsilon: float | None = None,
    prefix: str | None = None,
    head: str | None = None,
    trust_checkpoint: bool = False,
    labels: Path | str | Sequence[str] | Mapping[Any, Any] | None = None,
    io: str | None = None,
    task: str | None = None,
    threshold: float | None = None,
    softmax: bool = False,
    probabilities: bool = False,
    count: int | None = None,
    seed: int | None = None,
    effort: str = "balanced",
    ranges: str | None = None,
    plan: Path | str | None = None,
    cpu_class: str = "auto",
    tuning: Path | str | None = None,
    autotune: bool = False,
    golden: int = GOLDEN_IMAGES,
    keep_float: Sequence[str] = (),
    min_sqnr: float | None = None,
    max_drop: float | str | None = None,
    max_latency_cost: float | str | None = None,
    force_calibration: bool = False,
    cache: Cache | None = None,
    progress: Progress | None = None,
) -> list[Built]:
    """Build a trained network for one or several targets, from one calibration.

    Args:
        model: The network's name, ours or another library's; None: the checkpoint says it.
        targets: Targets by name, or the paths of TOML files.
        checkpoint: Trained weights: a file or folder, an ONNX file, or ``module:callable``; None:
            ``weights``.
        weights: ``imagenet``, or a repository of the Hugging Face hub; None: ImageNet's, those an installed
            package carries first.
        calibration: Folder of images, list file, .npz or recipe; None: photos of installed packages.
        validation: Images to judge by; None: every fifth calibration image is held out.
        output: Bundles are written to ``<output>/<name>-<target>/``.
        name: Instead of the model's name.
        size: Input height and width, pixels; None: the model's own.
        mean: Of each RGB channel, on pixels of 0…255, or one value for all; None: the model's own.
        std: Likewise.
        crop: The share of the resized photo that the centre crop keeps, 0…1; None: the checkpoint's origin's.
        interpolation: Filter of the resize, bicubic or bilinear; None: likewise.
        squash: Whether a photo is resized without keeping its ratio of sides; None: likewise.
        exif: Whether photos are turned as their EXIF orientation says; None: no, as in timm, torchvision and
            Keras.
        white: The value that is white in images of more than 8 bits which do not declare it; None: what their
            container holds, or a guess that is warned of.
        channels: rgb or bgr: in which order the network takes three colours, and ``mean`` and ``std`` are
            given; None: rgb. A bundle takes RGB whatever its network takes.
        padding: same, symmetric, static:SIZE or edgetpu; None: the checkpoint's origin's.
        bn_epsilon: Of batch normalisation; None: likewise.
        prefix: Take only the tensors whose names begin so, of a checkpoint with several networks.
        head: What the head computes, where no name says it: ``linear,bn,relu,linear``; ``fc2:linear`` of the
            layers under a name.
        trust_checkpoint: Run a checkpoint that is code: TorchScript, torch.export, ``module:callable``.
        labels: Names of the classes, a mapping to or from their numbers, a text, CSV or JSON file of them,
            or ``imagenet``; None: those of the checkpoint.
        io: Input type instead of the targets' own: float32, uint8 or int8.
        task: What the outputs mean: classification (one class an image) or multilabel (any number of
            labels, each by its sigmoid); None: what the source says; one logit is multilabel.
        threshold: Of a label's probability, for multilabel; None: 0.5.
        softmax: End in probabilities instead of logits, by softmax.
        probabilities: Likewise, by softmax or sigmoid as the task is.
        count: How many calibration images to use at most.
        seed: Of their choice.
        effort: The recipe of quantisation: fast, balanced, max, or a TOML file of the user's own.
        ranges: Instead of the recipe's: how activation ranges are chosen, minmax, percentile, mse, ….
        plan: Ranges that another tool chose: AIMET encodings, a TensorRT calibration cache, a Q/DQ .onnx.
        cpu_class: auto, avx2, vnni, bf16 or arm; avx2 keeps weights to seven bits.
        tuning: A file that ``autotune`` wrote: the variants that this network's product runs fastest.
        autotune: Time the targets' variants on this machine, take the fastest, and write the tuning to
            ``<output>/<name>-tuning.json``.
        golden: How many golden inputs a bundle carries.
        keep_float: Layers that stay float: names, their beginnings up to a dot, or patterns with ``*``.
        min_sqnr: Keep the cheapest layers float that bring the logits to so many dB.
        max_drop: Likewise that lose at most so many points of top-1 (0.3, ``"0.3pt"``); needs labels.
        max_latency_cost: The latency that float layers may add at most, per cent (3, ``"3%"``).
        force_calibration: Calibrate even with images that are mostly blank or noise.
        cache: Where stage results are kept; None: the user's.
        progress: Told what is going on; None: warnings go to Python's ``warnings``, as
            :class:`~edgeeff.errors.EdgeeffWarning`, each once. They are in ``Built.warnings`` either way.

    Raises:
        EdgeeffError: One of its kinds, for bad input; nothing half-written is left. Its ``warnings`` are what
            had been warned of by then.
    """
    progress = Recorder.of(progress)
    cpu = request.resolve_cpu_class(cpu_class)
    options = steps.Options(
        task=request.resolve_task(task),
        threshold=None if threshold is None else checked_threshold(threshold),
        softmax=softmax,
        probabilities=probabilities,
        effort=request.resolve_effort(effort),
        ranges=request.resolve_ranges(ranges),
        plan=request.resolve_plan(plan),
        golden=request.resolve_golden(golden),
        cpu_class=cpu,
        keep_float=tuple(keep_float),
        budget=budget.read(min_sqnr, max_drop, max_latency_cost),
        tuning=request.resolve_tuning(tuning, autotune),
    )
    request.refuse_output(Path(output), name)
    wanted = request.resolve_targets(targets, io)
    named = given(labels)
    work = prepare(
        model,
        checkpoint=checkpoint,
        weights=weights,
        calibration=calibration,
        validation=validation,
        size=size,
        mean=mean,
        std=std,
        crop=crop,
        interpolation=interpolation,
        squash=squash,
        exif=exif,
        white=white,
        channels=channels,
        padding=padding,
        bn_epsilon=bn_epsilon,
        prefix=prefix,
        head=head,
        trust_checkpoint=trust_checkpoint,
        count=count,
        seed=seed,
        force_calibration=force_calibration,
        options=options,
        quantises=any(target.scheme for target in wanted),
        cache=cache,
        progress=progress,
    )
    identity, preprocess, images = work.identity, work.preprocess, work.images
    sides, negative = request.sides(named or identity.labels, identity.classes)
    work.labels = tuple(sides) if sides else None
    if negative and sides:
        progress.tell(f"labels   the logit is {sides[0]!r}, the second of two; without it {negative!r}")
    names = request.resolve_labels(sides, identity.labels, identity.classes, labels)
    if not are_known(names):
        progress.tell(request.no_labels_line(identity.classes))
    progress.warn_again(request.label_warnings(names))
    name = identity.model if name is None else name
    folders = request.resolve_output(Path(output), name, wanted)
    if autotune:
        work.tune(wanted, Path(output) / f"{name}-tuning.json")
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
    keys = {
        target.name: key_of(**inputs, tools=tool_versions(target), target=steps.target_facts(target))
        for target in wanted
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
                tools=tool_versions(target),
                files={},
                origin=request.whose(identity),
                task=work.meaning.task,
                threshold=work.meaning.threshold,
                negative=negative,
            )
            files = work.emit(target, hub, names, folder.name)
            built.append(_write(folder, manifest, files, work, hub, warned))
            del files, hub  # before the next target makes its own
            give_back()
    _repeat(built, progress)
    return built


def prepare(
    model: str | None = None,
    *,
    checkpoint: Path | str | None = None,
    weights: str | None = None,
    calibration: Path | str | None = None,
    validation: Path | str | None = None,
    size: int | tuple[int, int] | None = None,
    mean: Channels | None = None,
    std: Channels | None = None,
    crop: float | None = None,
    interpolation: str | None = None,
    squash: bool | None = None,
    exif: bool | None = None,
    white: float | None = None,
    channels: str | None = None,
    padding: str | None = None,
    bn_epsilon: float | None = None,
    prefix: str | None = None,
    head: str | None = None,
    trust_checkpoint: bool = False,
    count: int | None = None,
    seed: int | None = None,
    force_calibration: bool = False,
    options: steps.Options,
    quantises: bool = True,
    cache: Cache | None = None,
    progress: Recorder,
) -> steps.Work:
    """The steps of a build, ready to be taken: the network is known, the images are chosen.

    Args are those of :func:`build`; ``quantises`` says whether any target needs calibration.
    """
    asked = request.resolve_source(
        *(model, checkpoint, weights, size),
        padding=padding,
        epsilon=bn_epsilon,
        prefix=prefix,
        head=head,
        trust=trust_checkpoint,
        channels=channels,
    )
    changed = request.resolve_preprocess(
        mean=mean, std=std, crop=crop, interpolation=interpolation, squash=squash, exif=exif, white=white
    )
    context = Context.of(cache, progress)
    source = identify(asked, context)
    identity = source.identity
    request.refuse_second_normalisation(identity, changed)
    own = request.prepared(identity.preprocess, asked.size, changed)
    preprocess, turned = request.in_rgb(own, asked.channels)
    progress.tell(request.network_line(identity))
    by_option = changed | ({"size": asked.size} if asked.size else {})
    settling = by_option | ({"channels": asked.channels} if asked.channels else {})
    progress.warn_again(request.unsettled(identity.warnings, settling))
    if doubt := request.order_warning(own, asked.channels):
        progress.warn(doubt)
    if turned:
        progress.tell(turned)
    meaning = request.resolve_meaning(options, identity)
    progress.warn_again(request.task_warnings(meaning, identity, options.task))
    if not meaning.exclusive:
        progress.tell(request.task_line(meaning, identity))
        budget.refuse_drop(options.budget, meaning.task)
    progress.tell(request.preprocess_line(preprocess, by_option, identity.said))
    images = select(
        *(Path(calibration) if calibration else None, Path(validation) if validation else None, count, seed),
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
        progress.tell(request.photos_line(len(images.validation.pictures)))
    progress.warn_again((*images.calibration.warnings, *images.validation.warnings))
    return steps.Work(source, preprocess, images, options, context, force_calibration, meaning=meaning)


def tool_versions(target: Target) -> dict[str, str]:
    """The installed versions that the bytes of a bundle for the target depend on."""
    return versions(*TOOLS, *backends.runtime(target.runtime).tools)


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

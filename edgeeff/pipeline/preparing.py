"""A request ─▶ a network that is known, images that are chosen, and what both are taken to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgeeff.calibration.clips import Viewing
from edgeeff.calibration.selection import Selection, select
from edgeeff.images.survey import survey
from edgeeff.labels import are_known, given, is_background, without_background
from edgeeff.pipeline import held_out
from edgeeff.pipeline.context import Context
from edgeeff.pipeline.options import Options
from edgeeff.pipeline.request import BuildRequest
from edgeeff.pipeline.resolve.detection import resolve_detection
from edgeeff.pipeline.resolve.images import paths, photos_line
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
from edgeeff.pipeline.resolve.source import network_line, resolve_source, unsettled
from edgeeff.pipeline.resolve.training import refuse_training
from edgeeff.pipeline.stages import doubts
from edgeeff.pipeline.stages.calibration import Calibration
from edgeeff.pipeline.stages.drafting import Drafting
from edgeeff.pipeline.stages.identity import Source, identify
from edgeeff.pipeline.stages.network import Network
from edgeeff.pipeline.train_images import open_to_train
from edgeeff.preprocess import Preprocess
from edgeeff.quantization import budget
from edgeeff.tasks import CLASSIFICATION, Meaning
from edgeeff.zoo.sources import Identity


@dataclass(frozen=True)
class Classes:
    """What the classes are called; ``negative`` is what an image is called that has not the only label."""

    names: tuple[str, ...]
    negative: str = ""


def prepare(request: BuildRequest, options: Options, context: Context, *, quantises: bool = True) -> Drafting:
    """How a network is quantised, before anything is made of it: it is known, and its images are chosen.

    Args:
        request: What is built.
        options: What it says of every target (:func:`~edgeeff.pipeline.resolve.quantise.resolve_options`).
        context: Hears what was decided, and what may be wrong with it.
        quantises: Whether any target needs calibration.
    """
    source, preprocess, meaning = _network(request, options, context)
    images, preprocess = _images(request, source, preprocess, context, quantises=quantises)
    calibration = Calibration(
        Network(source, preprocess.size, context),
        *(preprocess, images, context),
        force=request.images.force_calibration,
        exclusive=meaning.exclusive,
    )
    return Drafting(calibration, options.recipe(), options.cpu_class, meaning, options.plan)


def name_classes(request: BuildRequest, identity: Identity, context: Context) -> Classes:
    """The names of the classes: the user's, else the checkpoint's, else their numbers.

    Raises:
        LabelsError: They are not as many as the network's classes, or cannot be read.
    """
    said = request.meaning.labels
    named = given(said, identity.classes) or identity.labels
    if named is not None and identity.geometry is not None:
        named = _of_objects(named, identity.classes, context)
    own, negative = sides(named, identity.classes)
    if negative and own:
        context.progress.tell(f"labels   the logit is {own[0]!r}, the second of two; without it {negative!r}")
    names = resolve_labels(own, identity.labels, identity.classes, said)
    if identity.classes and not are_known(names):
        context.progress.tell(no_labels_line(identity.classes))
    context.warn_all(label_warnings(names))
    return Classes(names, negative)


def _of_objects(names: Sequence[str], classes: int, context: Context) -> tuple[str, ...]:
    """A detector's labels: background is none of its classes, which have a sigmoid each."""
    found = without_background(names, classes)
    if len(found) < len(names):
        context.progress.tell(f"labels   the first, {names[0]!r}, has no output, and is left out")
    elif len(names) == classes and is_background(names[0]):
        context.warn(
            f"the first label is {names[0]!r}, and a detector of this kind has no output for background: if "
            "labels are counted one too far, pass others with --labels"
        )
    return found


def judged_by_class(drafting: Drafting, names: tuple[str, ...]) -> Drafting:
    """The same with the classes, boxes or masks of the images that judge, which a budget of points asks for.

    Raises:
        LabelsError: Their folders, lists, boxes or masks name what is no class of the network.
    """
    calibration, context = drafting.calibration, drafting.context
    validation = calibration.images.validation
    if drafting.meaning.detection is not None:
        validation = held_out.with_boxes(validation, names, calibration.preprocess, context)
    elif drafting.meaning.by_pixel:
        validation = held_out.with_masks(validation, names, calibration.preprocess, context)
    else:
        validation = held_out.with_classes(validation, names, context)
    images = replace(calibration.images, validation=validation)
    return replace(drafting, calibration=replace(calibration, images=images))


def with_training(
    request: BuildRequest,
    options: Options,
    drafting: Drafting,
    names: tuple[str, ...],
    *,
    quantises: bool,
) -> Drafting:
    """The same with the images that the quantised network is trained on, where there are such.

    Raises:
        CalibrationError: They are too few, of another kind, or all judge as well.
        OptionError: The network or the targets cannot be trained so.
    """
    if options.training is None:
        return drafting
    calibration, meaning, source = drafting.calibration, drafting.meaning, request.training.train
    refuse_training(
        options.training,
        exclusive=meaning.exclusive,
        classifies=meaning.task == CLASSIFICATION,
        quantises=quantises,
    )
    assert isinstance(source, Path), "images that the program holds are written to files first"
    images = open_to_train(
        *(source, options.training, calibration.images.validation, names),
        *(calibration.preprocess, drafting.context),
        chosen=not calibration.images.held_out,
    )
    return replace(drafting, training=images)


def _network(request: BuildRequest, options: Options, context: Context) -> tuple[Source, Preprocess, Meaning]:
    """Which network it is, how images are prepared for it, and what its outputs mean."""
    asked = resolve_source(request)
    changed = resolve_preprocess(request.preprocess)
    source = identify(asked, context)
    identity = source.identity
    refuse_second_normalisation(identity, changed)
    own = prepared(identity.preprocess, asked.size, changed)
    preprocess, turned = in_rgb(own, asked.channels)
    by_option = changed | ({"size": asked.size} if asked.size else {})
    context.progress.tell(network_line(identity))
    _warn_unsettled(source, own, by_option, context)
    if turned:
        context.progress.tell(turned)
    detection = resolve_detection(request.detector, identity, preprocess.size)
    meaning = resolve_meaning(options, identity, detection)
    context.warn_all(task_warnings(meaning, identity, options.task))
    if not meaning.exclusive or meaning.by_pixel:
        context.progress.tell(task_line(meaning, identity))
    said = request.quantise.max_drop
    budget.refuse_drop(options.budget, meaning.task, exclusive=meaning.exclusive, said=said)
    context.progress.tell(preprocess_line(preprocess, by_option, identity.said))
    return source, preprocess, meaning


def _warn_unsettled(
    source: Source, preprocess: Preprocess, by_option: Mapping[str, Any], context: Context
) -> None:
    """What the source leaves open, or may say wrongly, and no option settles."""
    order = source.asked.channels
    settling = {**by_option, **({"channels": order} if order else {})}
    context.warn_all(unsettled(source.identity.warnings, settling))
    if doubt := order_warning(preprocess, order):
        context.warn(doubt)


def _images(
    request: BuildRequest, source: Source, preprocess: Preprocess, context: Context, *, quantises: bool
) -> tuple[Selection, Preprocess]:
    """The images that calibrate and judge, and the preprocessing with what they themselves say of it."""
    said, (calibration, validation) = request.images, paths(request)
    viewing = Viewing(preprocess, context.progress, context.watched.add)
    images = select(calibration, validation, said.count, said.seed, calibrates=quantises, viewing=viewing)
    pictures = [*images.calibration.pictures, *images.validation.pictures]
    context.watched.add(picture.path for picture in pictures)
    found = survey(pictures, preprocess)
    for line in dict.fromkeys((*images.calibration.notes, *images.validation.notes, *found.lines)):
        context.progress.tell(line)
    context.warn_all(found.warnings)
    at_hand = quantises or calibration is not None
    doubts.settle(source, found.preprocess, images.calibration if at_hand else None, context)
    if images.warning and (quantises or images.noise):
        context.warn(images.warning)
    if not at_hand and validation is None and not images.noise:
        context.progress.tell(photos_line(len(images.validation.pictures)))
    context.warn_all((*images.calibration.warnings, *images.validation.warnings))
    return images, found.preprocess

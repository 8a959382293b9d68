"""A request ─▶ photos with labels, a network that is known, and how photos are prepared for it."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any, cast

from edgeeff.cache import versions
from edgeeff.images.survey import survey
from edgeeff.pipeline.context import Context
from edgeeff.pipeline.request import BuildRequest
from edgeeff.pipeline.resolve.preprocessing import (
    in_rgb,
    order_warning,
    prepared,
    preprocess_line,
    resolve_preprocess,
)
from edgeeff.pipeline.resolve.source import network_line, resolve_source, unsettled
from edgeeff.pipeline.stages import doubts
from edgeeff.pipeline.stages.identity import Source, identify
from edgeeff.preprocess import Preprocess
from edgeeff.training import regularising, tasks
from edgeeff.training.masks import opening as masks
from edgeeff.training.photos.labelled import Data
from edgeeff.training.photos.opening import open_photos
from edgeeff.training.request import FinetuneRequest
from edgeeff.training.setting import Setting
from edgeeff.training.swap import photos as swap_photos
from edgeeff.training.swap import session as swap
from edgeeff.zoo import catalog
from edgeeff.zoo.spec import Activation

VERSION = 2
#: Options that a training does not look at, by its task; by an empty name those of a swap.
_UNUSED = {
    "": ("class_weights", "views", "block_rate", "decay", "dropout", "smoothing"),
    "detection": ("class_weights", "views", "dropout"),
    "multilabel": ("class_weights",),
    "segmentation": ("views", "dropout"),
}


def prepare(request: FinetuneRequest, context: Context) -> tuple[Setting, str]:
    """What is trained, on what, before anything is: the photos are labelled, the network is known.

    Returns:
        The setting, and the task.
    """
    asked = request.photos
    if asked.photos is None:
        raise TypeError("a training needs photos")
    opened = open_photos(masks.source_of(asked.photos), asked.validation, context)
    opened = masks.given(opened, request.masks, context)
    swaps, seed = request.swap.activation is not None, request.learning.seed
    task = "" if swaps else tasks.choose(asked.task, opened.train)
    if not _is_regularised(task):
        what = f"in a training of {task}" if task else "with --activation"
        regularising.refuse(request.regularisation, what, regularising.ELSEWHERE, asked.augment)
    masks.refuse_elsewhere(request.masks, task)
    _warn_of_unused(request, task, context)
    source, preprocess = _network(request, task, context)
    if swaps:
        task = swap.task_of(source.identity, asked.task)
        data = swap_photos.label(opened.train, opened.validation, source.identity, seed, context)
    else:
        data = tasks.room(task).label(opened.train, opened.validation, seed, context)
    preprocess = _survey(data, source, preprocess, context)
    of = "" if swaps else f" of {len(data.classes)} classes"
    context.progress.tell(f"photos   {len(data.train)}{of} to learn from, {len(data.validation)} to judge by")
    return Setting(request, source, _name(source), preprocess, data, context), task


def _warn_of_unused(request: FinetuneRequest, task: str, context: Context) -> None:
    """Warn of options that were given and do nothing here.

    Args:
        request: The user's.
        task: What is learnt; empty for a swap of the activation.
        context: Hears the warning.
    """
    unused = _unused(request, task)
    given = [
        f"--{name.replace('_', '-')}"
        for part in (request.photos, request.learning)
        for name in unused
        if hasattr(part, name) and getattr(part, name) != getattr(type(part)(), name)
    ]
    if given:
        what = f"in a training of {task}" if task else "with --activation"
        context.warn(f"{', '.join(given)} {what} does nothing: leave it out")


def _is_regularised(task: str) -> bool:
    return bool(task) and getattr(tasks.room(task), "REGULARISED", False)


def _unused(request: FinetuneRequest, task: str) -> tuple[str, ...]:
    """Options that a training of this task does not look at; of an empty one, a swap."""
    unused = _UNUSED.get(task, ())
    if task not in ("", "segmentation") and not request.learning.blocks:
        unused = (*unused, "block_rate")
    return unused


def _network(request: FinetuneRequest, task: str, context: Context) -> tuple[Source, Preprocess]:
    """Which network it is, and how photos are prepared for it: as a build of it would."""
    asked = resolve_source(BuildRequest(source=request.source, preprocess=request.preprocess))
    changed = resolve_preprocess(request.preprocess)
    source = _at_any_size(identify(asked, context))
    own = prepared(source.identity.preprocess, asked.size, changed)
    if task and (fitting := getattr(tasks.room(task), "preprocess", None)) is not None:
        own = fitting(own, changed)
    preprocess, _ = in_rgb(own, asked.channels)
    by_option = changed | ({"size": asked.size} if asked.size else {})
    context.progress.tell(network_line(source.identity))
    settling = {**by_option, **({"channels": asked.channels} if asked.channels else {})}
    context.warn_all(unsettled(source.identity.warnings, settling))
    if doubt := order_warning(own, asked.channels):
        context.warn(doubt)
    context.progress.tell(preprocess_line(preprocess, by_option, source.identity.said))
    return source, preprocess


def _at_any_size(source: Source) -> Source:
    """The same with all that its origin says of padding: a checkpoint may be built for another size."""
    whole = source.identity.at_any_size
    return source if whole is None else replace(source, identity=replace(source.identity, conventions=whole))


def _survey(data: Data, source: Source, preprocess: Preprocess, context: Context) -> Preprocess:
    """What the photos' files themselves say: their white, their orientation, and whose network it is."""
    found = survey([*data.train.pictures, *data.validation.pictures], preprocess)
    for line in found.lines:
        context.progress.tell(line)
    context.warn_all(found.warnings)
    doubts.settle(source, found.preprocess, data.train.images(), context)
    return found.preprocess


def begin(setting: Setting, task: str) -> tasks.Session:
    """The task's training, or a swap."""
    activation = setting.request.swap.activation
    return tasks.room(task).begin(setting) if activation is None else swap.Session(setting, activation)


def arch(setting: Setting) -> str:
    """The name of the network; of one that was scaled (``lite:width=0.25``) as it was asked for."""
    source, activation = setting.source, setting.request.swap.activation
    name = _name(source)
    return name if activation is None else catalog.with_activation(name, cast(Activation, activation))


def _name(source: Source) -> str:
    model, asked = source.identity.model, source.asked.model
    if asked is None or catalog.understood(model) is not None:
        return model
    activation = model.removeprefix(catalog.plain_name(model))
    return catalog.plain_name(asked) + activation


def recipe(setting: Setting, task: str) -> dict[str, Any]:
    """How it was trained, as the checkpoint says it: no path, no clock, nothing that this task does not have.

    Args:
        setting: Of the training.
        task: What was learnt.
    """
    task = task if setting.request.swap.activation is None else ""
    said: dict[str, Any] = {
        "learning": asdict(setting.request.learning),
        "regularisation": asdict(setting.request.regularisation),
        "augment": setting.request.photos.augment,
        "class_weights": setting.request.photos.class_weights,
    }
    for name in _unused(setting.request, task):
        said.pop(name, None)
        said["learning"].pop(name, None)
    if not _is_regularised(task):
        del said["regularisation"]
    return {
        **said,
        "photos": len(setting.data.train),
        "judging": len(setting.data.validation),
        "from": setting.source.identity.origin,
        "edgeeff": versions("edgeeff", "torch"),
    }


def facts(setting: Setting, task: str) -> dict[str, Any]:
    """All that a phase hangs on beside its own."""
    conventions, source = setting.source.identity.conventions, setting.source
    asked = replace(source.asked, source=None, module=None)
    return {
        "version": VERSION,
        "task": task,
        "source": [source.digest, vars(asked), asdict(conventions) if conventions else None],
        "preprocess": setting.preprocess.to_json(),
        "classes": list(setting.data.classes),
        "data": [setting.data.train.digest(), setting.data.validation.digest()],
        "learning": asdict(setting.request.learning),
        "photos": [setting.request.photos.augment, setting.request.photos.class_weights],
        "tools": versions("edgeeff", "torch", "numpy", "pillow"),
    }

"""The way from a checkpoint to verified bundles, top to bottom.

    checkpoint ─▶ float graph ─▶ statistics ─▶ plan ─▶ hub graph ─▶ artifact ─▶ verified bundle

Every stage's result is cached by the content it was made from, so a second target, or a second build, does
only what is new. Nothing is written until it is whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from edgeeff.backends import refuse_batch
from edgeeff.cache import Cache
from edgeeff.memory import give_back, settled, uncollected
from edgeeff.pipeline import built, inputs, plugged, preparing, tuning
from edgeeff.pipeline.aside import Aside, Promised
from edgeeff.pipeline.built import Built
from edgeeff.pipeline.bundling import Quantised, finish, quantise
from edgeeff.pipeline.context import Context
from edgeeff.pipeline.plugged import Used
from edgeeff.pipeline.request import BuildRequest, takes_options
from edgeeff.pipeline.resolve.detection import boxes_lines, placed
from edgeeff.pipeline.resolve.folders import refuse_output, resolve_output
from edgeeff.pipeline.resolve.frames import refuse_frames, resolve_frames
from edgeeff.pipeline.resolve.images import in_files
from edgeeff.pipeline.resolve.quantise import resolve_options
from edgeeff.pipeline.resolve.targets import refuse_float_layers, resolve_targets
from edgeeff.progress import Progress, Recorder, recorded

if TYPE_CHECKING:
    from typing import Unpack  # Python 3.11's; its users are annotations, which nothing evaluates

    from torch import nn

    from edgeeff.pipeline.request.keywords import BuildKeywords


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
    refuse_output(request.output.output, request.output.name)
    asked = request.output
    targets = resolve_targets(asked.targets, asked.io, asked.arena, resolve_frames(asked))
    refuse_batch(targets, options.batch)
    refuse_float_layers(targets, options.float_asked)
    context = Context.of(cache, progress)
    quantises = any(target.scheme for target in targets)
    with uncollected():
        drafting = preparing.prepare(request, options, context, quantises=quantises)
    refuse_frames(targets, drafting.calibration.preprocess, options.batch)
    identity = drafting.calibration.network.source.identity
    refuse_float_layers(targets, (), detector=drafting.meaning.detection is not None)
    for line in boxes_lines(drafting.meaning, targets, options.nms, options.batch):
        progress.tell(line)
    classes = preparing.name_classes(request, identity, context)
    name = identity.model if request.output.name is None else request.output.name
    folders = resolve_output(request.output.output, name, targets)
    if request.quantise.autotune:
        file = request.output.output / f"{name}-tuning.json"
        options = tuning.asked(drafting, targets, file, options)
    if options.asks_top_1:
        drafting = preparing.judged_by_class(drafting, classes.names)
    drafting = preparing.with_training(request, options, drafting, classes.names, quantises=quantises)
    meaning, recipe = drafting.meaning, drafting.recipe
    uses = [Used(target, meaning.task, recipe, identity.naming) for target in targets]
    context.warn_all(plugged.warnings(uses))
    context.watched.refuse_changed()
    shared, general = inputs.facts(drafting, options, classes), context.warnings
    validation = drafting.calibration.images.validation.digest()
    begun: list[Built | Promised[Built]] = []
    with settled(), Aside(progress) as aside:
        for use, folder in zip(uses, folders, strict=True):
            made_from = inputs.digest(shared, use, placed(meaning, use.target, options.nms, options.batch))
            with progress.recording() as damaged:
                one = built.standing(folder, made_from, validation, general, context)
            if one is not None:
                begun.append(one)
                continue
            with context.watched, progress.recording(general) as warned:
                ready = quantise(drafting, use, folder, options)
            give_back()
            progress.stage(f"{folder.name}: {ready.target.summary}")
            finishing = partial(_finished, ready, classes, made_from, warned, damaged)
            beside = folder != folders[-1] and ready.can_wait
            begun.append(aside.begin(folder.name, finishing, beside=beside))
            del ready, finishing
        found = [one if isinstance(one, Built) else one.result() for one in begun]
    built.repeat(found, context)
    return found


def _finished(
    ready: Quantised,
    classes: preparing.Classes,
    made_from: str,
    warned: Iterable[str],
    damaged: Iterable[str],
    progress: Recorder,
) -> Built:
    """A bundle of a target that is quantised; ``progress`` hears of it."""
    ready = ready.heard_by(progress)
    with ready.drafting.context.watched, progress.recording(warned) as all_of_it:
        one = finish(ready, classes, made_from, all_of_it)
    give_back()
    return one.warned(damaged)

"""A target's plan, trained before any layer is left in float: quantisation-aware training.

The recipe decides as ever (but for ``learn``, which is the same in short); then scales, weights and biases
are learned from the float network on images of their own, until the budget is met or the time is over. What
the budget still misses is left to the search for float layers, which sees the trained plan.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgeeff.cache import Bookmark
from edgeeff.images.image_set import skipped
from edgeeff.pipeline import held_out, train_images
from edgeeff.pipeline.options import TrainOptions
from edgeeff.pipeline.stages import trained as stages
from edgeeff.pipeline.stages.drafting import Drafting, is_raw
from edgeeff.pipeline.stages.learned import Learned
from edgeeff.pipeline.stages.stage import Stage, run
from edgeeff.pipeline.stages.trained import Outcome
from edgeeff.pipeline.train_images import TrainImages
from edgeeff.pipeline.trial import Trial
from edgeeff.quantization.budget import Budget, meets
from edgeeff.target import Target

if TYPE_CHECKING:
    from edgeeff.quantization.draft import Draft
    from edgeeff.quantization.learning.learnable import Found
    from edgeeff.quantization.learning.pace import Pace
    from edgeeff.quantization.learning.training import Course, Trained

#: Steps without a budget and with one, where neither steps nor minutes are said.
STEPS, LONGEST = 2000, 20000
#: The largest steps: weights in codes, scales as a share, biases in those of the layer.
RATES = (0.001, 0.002, 0.0005)
#: Steps between two states that are judged; of what they cost the budget's images may cost a tenth.
JUDGED = 50


def trained(drafting: Drafting, target: Target, keep_float: Sequence[str], budget: Budget | None) -> Drafting:
    """How a target is quantised, with its plan trained; as it was where nothing is to be trained.

    Args:
        drafting: How the network is quantised, with the images to train on.
        target: As a variant has it.
        keep_float: Layers that the user keeps float.
        budget: What must be met.

    Raises:
        CalibrationError: Images cannot be decoded, or judge as well.
    """
    if drafting.training is None or target.scheme is None:
        return drafting
    from edgeeff.quantization import precision

    calibration, context, training = drafting.calibration, drafting.context, drafting.training
    named = precision.matching(keep_float, precision.layer_names(calibration.network.model()))
    demand = None if budget is None or (budget.min_sqnr is None and budget.max_drop is None) else budget
    most = held_out.affordable(calibration.network.source.identity, calibration.preprocess.size)
    search = held_out.halves(calibration.images.validation, demand, most)[0] if demand else None
    facts = {
        "hub": dict(drafting.facts(target)),
        "named": sorted(named),
        "training": training.facts(),
        "rates": RATES,
        "budget": vars(demand) if demand else None,
        "search": [search.digest(), held_out.known_digest(search)] if search else None,
    }
    trial = None if demand is None or search is None else Trial(drafting, target, named, demand, search)

    def make() -> Outcome:
        return _make(drafting, training, target, named, trial, stage)

    stage: Stage[Outcome] = stages.stage(facts, make)
    found = run(stage, context)
    _tell(target.name, found.cost, training.options, context.progress.tell)
    context.warn_all(skipped(found.cost.get("skipped", {})))  # those of a training that is kept, too
    if found.cost["failed"]:
        context.warn(
            f"training ended early: {found.cost['failed']}. The last good state is kept", target.name
        )
    elif not found.cost["best_step"] and not found.cost["budget_met"]:
        context.warn(
            f"training brought nothing: none of {found.cost['steps']} steps gave a better state than that it "
            "began with, which is kept. Train on more images, or longer (--train-steps, --minutes)",
            target.name,
        )
    more: dict[str, Any] = _again(found.cost, training.options)
    bounded = calibration.network.activation == "bounded"
    if out := [s.use for s in drafting.recipe.left_out if s.concerns(bounded, target.scheme.swish)]:
        more["left_out"] = out
        context.progress.tell(f"{target.name}: {', '.join(out)} of --effort is left out: --train learns more")
    cost, note = {**found.cost, **more}, _note(found.cost, training)
    return replace(drafting, learned=Learned(stage.key, named, found.arrays, cost, note))


def _make(
    drafting: Drafting,
    training: TrainImages,
    target: Target,
    named: frozenset[str],
    trial: Trial | None,
    stage: Stage[Outcome],
) -> Outcome:
    from edgeeff.quantization.learning import found as numbers
    from edgeeff.quantization.learning.subject import subject_of
    from edgeeff.quantization.learning.training import train

    preprocess, context, raw = drafting.calibration.preprocess, drafting.context, is_raw(target)
    draft = drafting.draft(target, named)
    learned, kept = training.parts(preprocess)
    aside = train_images.aside(training, kept, preprocess, raw=raw)
    course = _course(training.options, train_images.batch_size(preprocess), budget=trial is not None)
    bookmark = Bookmark(context.cache, "training", f"{stage.key}-unfinished")
    look = _Looking(draft, course, target.name)
    result = train(
        subject_of(draft),
        train_images.stream(training, learned, preprocess, raw=raw),
        aside,
        course,
        meets=None if trial is None else _meeting(trial, draft, course),
        look=look,
        bookmark=bookmark,
    )
    bookmark.drop()
    cost = _cost(result, len(aside), course) | {"skipped": {**kept.bad, **learned.bad}}
    return Outcome(numbers.to_arrays(result.found), cost)


def _course(options: TrainOptions, batch: int, *, budget: bool) -> Course:
    from edgeeff.quantization.learning.losses import Loss
    from edgeeff.quantization.learning.pace import Limits
    from edgeeff.quantization.learning.subject import Rates
    from edgeeff.quantization.learning.training import Course

    steps, longest = options.steps, LONGEST
    if steps is None and options.minutes is None and not budget:
        steps = STEPS
    if options.minutes is not None:
        longest = 1 << 40
    loss = Loss(options.loss, options.temperature, options.labels)
    return Course(Limits(steps, options.minutes, longest), loss, Rates(*RATES), batch, JUDGED, options.device)


def _meeting(trial: Trial, draft: Draft, course: Course) -> Callable[[Found, int], bool]:
    """Whether a state is within the budget, asked so seldom that it costs a tenth of the steps at most."""
    judge, budget = trial.judging(draft), trial.budget
    # A step runs each image three times forwards and backwards and once by the teacher.
    seldom = math.ceil(len(trial.images) / (0.1 * 4 * course.batch * course.judged)) * course.judged
    held: dict[str, Any] = {"met": False, "of": None}

    def meeting(found: Found, step: int) -> bool:
        if step % seldom == 0 and found is not held["of"]:
            judged = judge(replace(draft, activations=found[0], layers=found[1]))
            held.update(met=meets(budget, judged, confident=True), of=found)
        return bool(held["met"])

    return meeting


class _Looking:
    """Tells how far training is: by steps where their number is known, else by the clock."""

    def __init__(self, draft: Draft, course: Course, name: str) -> None:
        self._progress, self._name, self._limits = draft.progress, name, course.limits
        self._shown, self._total = 0, 0
        self._clock = course.limits.minutes is not None

    def __call__(self, pace: Pace, step: int, error: float) -> None:
        total = int(60 * (self._limits.minutes or 0)) if self._clock else pace.total or self._limits.longest
        if total != self._total:
            text = f"{self._name}: training, {_decibels(error):.1f} dB so far"
            self._progress.stage(text, total, "seconds" if self._clock else "steps")
            self._shown, self._total = 0, total
        done = min(int(pace.elapsed), total) if self._clock else step
        if done > self._shown:
            self._progress.advance(done - self._shown)
            self._shown = done


def _cost(result: Trained, aside: int, course: Course) -> dict[str, Any]:
    return {
        "steps": result.steps,
        "best_step": result.best,
        "batch": course.batch,
        "images_seen": result.images,
        "images_aside": aside,
        "before_db": _decibels(result.before),
        "after_db": _decibels(result.after),
        "frozen_weights": result.frozen,
        "cpu_seconds": round(result.cpu_seconds, 1),
        "seconds": round(result.seconds, 1),
        "device": course.device,
        "budget_met": result.met,
        "failed": result.failed,
    }


def _note(cost: Mapping[str, Any], training: TrainImages) -> str:
    options = training.options
    loss = options.loss if options.loss == "mse" else f"kl at {options.temperature:g}"
    labels = f" and {options.labels:g} of labels" if options.labels else ""
    return (
        f"trained in {cost['steps']} steps of {cost['batch']} by {loss}{labels}, from {len(training.images)} "
        f"images ({training.images.digest()[:12]}), the state after step {cost['best_step']}: "
        f"{cost['before_db']:.1f} → {cost['after_db']:.1f} dB on {cost['images_aside']} kept aside"
    )


def _tell(name: str, cost: Mapping[str, Any], options: TrainOptions, tell: Callable[[str], None]) -> None:
    tell(
        f"{name}: trained {cost['steps']} steps, {cost['images_seen']} images seen, "
        f"{cost['cpu_seconds'] / 60:.1f} CPU minutes: {cost['before_db']:.1f} → {cost['after_db']:.1f} dB on "
        f"{cost['images_aside']} images kept aside"
    )
    for again in _again(cost, options).values():
        tell(f"{name}: the same plan again, on any day: {again}")
    if cost["budget_met"]:
        tell(f"{name}: the budget was met by training alone")


def _again(cost: Mapping[str, Any], options: TrainOptions) -> dict[str, Any]:
    """The option that gives the same plan on any day, where the steps were not said."""
    return {"again": f"--train-steps {cost['steps']}"} if options.steps is None and cost["steps"] else {}


def _decibels(error: float) -> float:
    return -10 * math.log10(max(error, 1e-12))

"""One bundle measured by itself, for its baseline or against it: what a day's run says of it."""

from __future__ import annotations

import hashlib
import json
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeeff import tasks
from edgeeff.errors import EdgeeffError
from edgeeff.gate import drawn
from edgeeff.gate.absolute import LAUNCHES
from edgeeff.gate.baseline import Baseline, Correct, Run
from edgeeff.gate.comparable import input_of
from edgeeff.gate.latency import refuse_times
from edgeeff.gate.suite import Case
from edgeeff.harness import cooling, device_class
from edgeeff.harness.accuracy import AccuracyReport
from edgeeff.harness.latency import clock_of, in_a_run
from edgeeff.harness.launches import How, Launch, measure
from edgeeff.harness.outcomes import Outcomes
from edgeeff.harness.record import Record, artifact_bytes
from edgeeff.progress import Recorder

#: Metrics that launches tell.
OF_LAUNCHES = ("latency", "memory", "load_time")


@dataclass(frozen=True)
class Alone:
    """What was measured of a bundle.

    Args:
        baseline: The same as a baseline of this very run.
        launches: The launches, none where no metric wants them.
        seconds: That they took.
    """

    baseline: Baseline
    launches: tuple[Launch, ...]
    seconds: float


def facts_of(case: Case, environment: Mapping[str, Any]) -> dict[str, Any]:
    """The device class that a case's figures belong to."""
    return device_class.facts(environment, device_class.distributions(case.bundle.runtime, environment))


def run(case: Case, how: How, record: Record, accuracy: AccuracyReport | None, listener: Recorder) -> Alone:
    """Measure a bundle by itself.

    Args:
        case: Whose bundle, and which metrics.
        how: How each launch measures.
        record: Of the report that this is for.
        accuracy: What its images said, where there are any.
        listener: Told of each launch.

    Raises:
        EdgeeffError: The bundle cannot run here, crashed or hung, or the clock is no clock.
    """
    bundle, begin = case.bundle, time.perf_counter()
    clock = clock_of((bundle,), case.threads)
    begun = cooling.mark()
    launches = _launches(case, how, listener) if set(case.limits) & set(OF_LAUNCHES) else ()
    for text in cooling.doubts(cooling.since(begun)):
        listener.warn(f"{case.name}: {text}")
    seconds = time.perf_counter() - begin
    for launch in launches:
        refuse_times(
            launch.runs[0].times_ns(clock), bundle.name, clock, case.limits.get("latency", 3.0) / 100
        )
    facts = facts_of(case, record.environment)
    made = Baseline(
        name=bundle.name,
        model=bundle.manifest.model,
        target=bundle.manifest.target,
        input=input_of(bundle.manifest),
        bundle=bundle.digest(),
        series=device_class.digest(facts),
        device=facts,
        threads=case.threads,
        clock=clock,
        metrics=_metrics(case, launches, accuracy),
        runs=(Run(bundle.digest(), tuple(_time_ms(one, clock) for one in launches), record.utc),)
        if launches
        else (),
        correct=_known(accuracy),
    )
    return Alone(made, launches, seconds)


def _launches(case: Case, how: How, listener: Recorder) -> tuple[Launch, ...]:
    bundle, made = case.bundle, []
    listener.stage(f"measuring {case.name} by itself", LAUNCHES, "launches")
    for number in range(LAUNCHES):
        launch = measure((bundle,), (in_a_run(bundle, None),), how, number)
        if launch.not_run:
            raise EdgeeffError(
                f"{bundle.name} NOT RUN: {launch.not_run[0]}", mend="gate it where its runtime can run"
            )
        made.append(launch)
        listener.advance()
    return tuple(made)


def _time_ms(launch: Launch, clock: Any) -> float:
    """The median time of an image, milliseconds."""
    one = launch.runs[0]
    return statistics.median(one.times_ns(clock)) / 1e6 / one.images


def _metrics(
    case: Case, launches: Sequence[Launch], accuracy: AccuracyReport | None
) -> dict[str, tuple[float, str]]:
    """The metrics that are one number, with their units."""
    found: dict[str, tuple[float, str]] = {"size": (float(artifact_bytes(case.bundle)), "bytes")}
    runs = [launch.runs[0] for launch in launches]
    peaks = [one.peak_memory_mb for one in runs if one.peak_memory_mb is not None]
    if peaks:
        found["memory"] = (statistics.median(peaks), "MB")
    if runs:
        found["load_time"] = (statistics.median(one.load_ms for one in runs), "ms")
        clock = clock_of((case.bundle,), case.threads)
        found["latency"] = (statistics.median(_time_ms(one, clock) for one in launches), "ms")
    if accuracy is not None and accuracy.reference is not None:
        level = accuracy.reference.sqnr_centred
        if math.isfinite(level):
            found["sqnr_centred"] = (level, "dB")
        if accuracy.reference.agreement is not None:
            found["agreement"] = (100 * accuracy.reference.agreement.value, "%")
    scores = None if accuracy is None else tasks.drawn(accuracy.scores)
    if accuracy is not None and scores is not None:
        figures = 100 * scores.primary, scores.standard_error
        if all(map(math.isfinite, figures)):
            name = accuracy.metric
            found |= {name: (figures[0], "%"), drawn.error_of(name): (figures[1], "points")}
    elif accuracy is not None and accuracy.scores is not None:
        found["top_1"] = (100 * accuracy.scores.primary, "%")
    return found


def _known(accuracy: AccuracyReport | None) -> Correct | None:
    """What is kept of the images: of boxes and masks which ones they were, else which were right."""
    if accuracy is None:
        return None
    if tasks.drawn(accuracy.scores) is not None and accuracy.images_sha256 is not None:
        return Correct(accuracy.images_sha256, np.zeros(0, np.bool_))
    return correct(accuracy.outcomes)


def correct(outcomes: Outcomes | None) -> Correct | None:
    """Which of the labelled images were right, and which images they were; None of a task without classes."""
    if outcomes is None or not outcomes.exclusive:
        return None
    listed = json.dumps([list(outcomes.images), outcomes.truth.tolist()], ensure_ascii=True)
    right = np.asarray(outcomes.right)[np.asarray(outcomes.known)]
    return Correct(hashlib.sha256(listed.encode()).hexdigest(), right)

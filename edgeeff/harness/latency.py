"""How long an inference takes, and how sure one may be of it.

Several bundles run interleaved in one process, so that the clock, the heat and the neighbours meet all of
them alike; several launches, because a process's memory layout alone moves its times by about a per cent.
The figure to trust on a shared machine is the ratio of CPU times; where a GPU or several threads compute,
that of wall times on a quiet one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from edgeeff import backends, inference_device
from edgeeff.bundle import Bundle
from edgeeff.errors import EdgeeffError, OptionError
from edgeeff.harness import cooling, sensors, where
from edgeeff.harness.estimate import LEAST, MOST, estimate
from edgeeff.harness.fresh_process import How, Series, common_device
from edgeeff.harness.latency_report import Entry, LatencyReport, Ratio
from edgeeff.harness.launches import LAUNCH, Clock, Launch, from_events
from edgeeff.harness.record import record
from edgeeff.harness.subjects import (
    distinct_names,
    in_a_run,
    in_runs,
    opened,
    place_of,
    warn_of_another,
    warn_of_place,
    warn_of_plugins,
)
from edgeeff.harness.timing import P99_9_NEEDS, LoadingTimes, Percentiles, Timing, summarise
from edgeeff.harness.tools import compare
from edgeeff.progress import Count, Progress, Recorder, Unit, recorded

__all__ = [
    "LAUNCHES",
    "P99_9_NEEDS",
    "SECONDS",
    "Clock",
    "Entry",
    "LatencyReport",
    "LoadingTimes",
    "Percentiles",
    "Ratio",
    "Timing",
    "benchmark",
    "distinct_names",
    "in_a_run",
    "in_runs",
    "opened",
    "place_of",
    "refuse",
    "summarise",
    "warn_of_another",
    "warn_of_place",
    "warn_of_plugins",
]

#: Launches differ by about a per cent, rounds of 0.4 to 1 s add half of that: more launches help, longer ones
#: hardly. An even number loads each of two bundles first equally often.
LAUNCHES, SECONDS = 10, 0.6


@recorded
def benchmark(
    bundles: Sequence[Bundle | Path | str],
    *,
    launches: int | None = None,
    seconds: float = SECONDS,
    threads: int = 1,
    baseline: int | str = 0,
    images: int | None = None,
    seed: int = 0,
    until: float | None = None,
    timeout: float | None = None,
    tools: bool = False,
    progress: Progress | Count | None = None,
) -> LatencyReport:
    """Time bundles against one another, on this machine or on the board that they are on.

    Each launch is a fresh process that loads all of them in an order that changes with the launch, warms
    them up until their times are steady, and runs them round-robin on one prepared input, in an order that
    changes with each round: one image, or as many as a run of the bundle takes. A bundle whose runtime cannot
    run there is listed as NOT RUN. With several threads, a pool that still spins after its inference is
    charged to the next one: such figures are compared by wall time.

    Args:
        bundles: Bundles or their folders.
        launches: Processes to start, one after another; None: 10, with ``until`` 40 at most.
        seconds: Measuring time for each bundle in a launch; the warm-up takes as long at most.
        threads: Of each runtime.
        baseline: The bundle that the others are held against, by its place or its name.
        images: In a run of bundles that take any number up to theirs; None: the most that they take.
        seed: Of the noise that a bundle without golden images is run on.
        until: End after 8 launches or more, when every ratio is known this well (0.01: ± 1 %); of a lone
            bundle its time. ``launches`` is then the most.
        timeout: Seconds after which a launch is taken to hang; None: five minutes, and more for a long one.
        tools: Measure the artifacts by their runtimes' own benchmarks too, beside launches of ours.
        progress: Told of each launch and each warning; or a plain function, called with the launches done
            and all of them.

    Raises:
        OptionError: A number that makes no sense, or no such baseline; ``tools`` on a board.
        BundleError: A bundle cannot be read, or was altered.
        ChangedFileError: A bundle was replaced meanwhile.
        DeviceError: The board cannot be reached, or was lost.
        EdgeeffError: A bundle crashed its process or hung; the message ends with what it printed.
    """
    most = (LAUNCHES if until is None else MOST) if launches is None else launches
    loaded = opened(bundles, launches=most, seconds=seconds, threads=threads)
    refuse(until, timeout, most)
    if tools and (there := common_device(loaded)) is not None:
        raise OptionError(
            f"tools with the device {there.name}: the runtimes' own benchmarks run on this machine alone",
            mend="leave one of the two out, or run benchmark_app or benchmark_model on the board by hand",
        )
    how = How(threads, seconds, seed, timeout)
    asked = _Asked(most, how, place_of(distinct_names(loaded), baseline), images, until, tools)
    return _benchmark(loaded, asked, Recorder.of(progress))


@dataclass(frozen=True)
class _Asked:
    """What :func:`benchmark` was asked for: the most launches, and the baseline's place, among others."""

    most: int
    how: How
    base: int
    images: int | None
    until: float | None
    tools: bool


def _benchmark(loaded: Sequence[Bundle], asked: _Asked, recorder: Recorder) -> LatencyReport:
    names, how, there = distinct_names(loaded), asked.how, where.of(common_device(loaded))
    clock = clock_of(loaded, how.threads)
    begun = record("latency", loaded, names, there)
    cool = cooling.mark()
    with recorder.recording() as warned:
        batches = in_runs(loaded, asked.images, recorder)
        warn_of_plugins(loaded, recorder)
        warn_of_place(loaded, recorder)
        series = Series(LAUNCH, loaded, batches, how)
        taken, reached = _launches(series, batches, asked, clock, recorder)
        around = [launch.around for launch in taken if launch.around is not None]
        waits = cooling.since(cool)
        for text in (
            *sensors.doubts(around, there.machine.usable_cores, how.threads),
            *cooling.doubts(waits),
            *where.doubts(there.device),
        ):
            recorder.warn(text)
        pairs = min(len(taken), LAUNCHES)
        beside = compare(loaded, names, batches, how, pairs, recorder) if asked.tools and taken else ()
    entries = []
    for place, (name, bundle) in enumerate(zip(names, loaded, strict=True)):
        of, runs = bundle.manifest, [launch.runs[place] for launch in taken if place in launch.runs]
        said = (name, of.runtime, of.precision, of.runtime_properties)
        entries.append(Entry(*said, summarise(runs) if runs else None, series.not_run.get(place)))
    return LatencyReport(
        entries=tuple(entries),
        baseline=names[asked.base],
        launches=len(taken),
        seconds=how.seconds,
        threads=how.threads,
        seed=how.seed,
        machine=there.machine,
        record=begun,
        clock=clock,
        taken=tuple(taken),
        until=asked.until,
        reached=reached,
        warnings=tuple(warned),
        tools=beside,
        cooled=waits,
    )


def _launches(
    series: Series, batches: Sequence[int], asked: _Asked, clock: Clock, recorder: Recorder
) -> tuple[list[Launch], bool | None]:
    """All launches, and whether the ratios became known as well as was asked; None: nothing was asked."""
    until, most, taken = asked.until, asked.most, list[Launch]()
    unit: Unit = "launches" if until is None else "launches at most"
    recorder.stage(f"measuring {len(batches)} bundle{'s' * (len(batches) > 1)}", most, unit)
    reached = None if until is None else False
    while len(taken) < most and not reached and series.runnable:
        taken.append(from_events(series.launch(), batches, len(taken)))
        recorder.advance()
        if until is not None and len(taken) >= LEAST:
            reached = half_width(taken, asked.base, clock) <= until
    series.refuse_changed()
    if until is not None and not reached and taken:
        recorder.warn(_too_wide(half_width(taken, asked.base, clock), until, len(taken)))
    return taken, reached


def clock_of(bundles: Sequence[Bundle], threads: int) -> Clock:
    """Which clock bundles are compared by: wall time where several threads or a device of its own compute.

    A bundle whose device is not here is not measured, and decides nothing. On a board every runtime may be.
    """
    known, elsewhere = backends.runtime_names(), inference_device.named() != inference_device.CPU
    for bundle in bundles:
        if bundle.manifest.runtime in known:
            runtime = backends.runtime(bundle.manifest.runtime)
            absent = bundle.device is None and runtime.missing_to_run()
            elsewhere = elsewhere or bool(runtime.on_device and not absent)
    return "wall" if threads > 1 or elsewhere else "cpu"


def half_width(taken: Sequence[Launch], base: int, clock: Clock) -> float:
    """By how large a part the least certain ratio to the baseline may be wrong; of a lone bundle its time.

    Infinite where a launch is alone, or the clock is too coarse.
    """
    ran = sorted(taken[0].runs)
    others = [place for place in ran if place != base] if base in ran else []
    try:
        logs = [[launch.log_ratio(place, base, clock) for launch in taken] for place in others]
    except EdgeeffError:
        return math.inf
    if not logs:
        medians = [[median(launch.runs[place].times_ns(clock)) for launch in taken] for place in ran]
        if any(min(times) <= 0 for times in medians):
            return math.inf
        logs = [[math.log(time) for time in times] for times in medians]
    widths = [estimate(values).half_width for values in logs]
    return max((math.inf if width is None else width for width in widths), default=math.inf)


def _too_wide(width: float, until: float, launches: int) -> str:
    return (
        f"the 95 % interval is ± {width:.1%} after {launches} launches, and ± {until:.1%} was asked for: "
        "measure on a quieter machine, or allow more launches"
    )


def refuse(until: float | None, timeout: float | None, most: int) -> None:
    """Refuse a width, a time-out or a number of launches that makes no sense.

    Raises:
        OptionError: It makes none.
    """
    if until is not None and not 0 < until < 1:
        raise OptionError(f"until is {until}", mend="give a part such as 0.01, on the command line 1%")
    if until is not None and most < LEAST:
        raise OptionError(
            f"{most} launches are too few to end by the interval's width",
            mend=f"allow at least {LEAST}, or leave out --launches",
        )
    if timeout is not None and not 0 < timeout < math.inf:
        raise OptionError(f"timeout is {timeout}", mend="give a positive number of seconds")

"""How many images a second a machine gets through, with several runs in flight.

Bundles take turns in windows, in one process after another, as for latencies; no figure of these is a
latency: with several runs in flight each of them waits for the others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from edgeeff.bundle import Bundle
from edgeeff.errors import OptionError
from edgeeff.harness import cooling, latency, machine, sensors, subjects, where
from edgeeff.harness.cooling import Cooled
from edgeeff.harness.estimate import Estimate, estimate
from edgeeff.harness.fresh_process import How, Series, common_device
from edgeeff.harness.latency import LAUNCHES, SECONDS
from edgeeff.harness.launches import Launch, from_events
from edgeeff.harness.record import Record, record
from edgeeff.harness.throughput_launch import shared_runs
from edgeeff.progress import Count, Progress, Recorder, recorded

LAUNCH = "edgeeff.harness.throughput_launch"


@dataclass(frozen=True)
class Entry:
    """One bundle in a report, or why it was NOT RUN.

    Args:
        name: The bundle's.
        runtime: What runs it.
        precision: Of its artifact.
        images: In a run.
        images_per_second: The geometric mean over launches of their medians over windows, with its interval.
        launches: The median of each launch, images a second.
        cpu_ms: That all threads computed for an image, milliseconds: the median over launches.
        ratio: To the baseline's images a second; over 1 is faster. None of a bundle alone, and where the
            baseline was not run.
        not_run: Why.
    """

    name: str
    runtime: str
    precision: str
    images: int
    images_per_second: Estimate | None = None
    launches: tuple[float, ...] = ()
    cpu_ms: float | None = None
    ratio: Estimate | None = None
    not_run: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "name": self.name,
            "status": "NOT RUN" if self.images_per_second is None else "ok",
            "reason": self.not_run,
            "runtime": self.runtime,
            "precision": self.precision,
            "images": self.images,
            "images_per_second": self.images_per_second.to_json() if self.images_per_second else None,
            "launches_images_per_second": list(self.launches),
            "cpu_ms_per_image": self.cpu_ms,
            "ratio": self.ratio.to_json() if self.ratio else None,
        }


@dataclass(frozen=True)
class ThroughputReport:
    """What :func:`throughput` found.

    Args:
        entries: One for each bundle, in the order they were given.
        baseline: The name of the bundle that the ratios are held against.
        launches: How many processes measured.
        seconds: Measuring time for each bundle in a launch.
        threads: Of each runtime, all runs together.
        requests: Runs in flight.
        machine: What the figures hold for.
        record: Which run this is, of which bundles, when and where.
        around: The clock, the heat and the load of each launch.
        warnings: What the reader must not miss.
        cooled: How each launch waited until it was cool; empty where that was not asked for.
    """

    entries: tuple[Entry, ...]
    baseline: str
    launches: int
    seconds: float
    threads: int
    requests: int
    machine: machine.Machine
    record: Record
    around: tuple[sensors.Around, ...]
    warnings: tuple[str, ...] = ()
    cooled: tuple[Cooled, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "entries": [entry.to_json() for entry in self.entries],
            "baseline": self.baseline,
            "launches": self.launches,
            "seconds": self.seconds,
            "threads": self.threads,
            "requests": self.requests,
            "warnings": list(self.warnings),
            "conditions": [around.to_json() for around in self.around],
            "cooled": [one.to_json() for one in self.cooled],
            "machine": self.machine.to_json(),
            "record": self.record.to_json(),
        }


@recorded
def throughput(
    bundles: Sequence[Bundle | Path | str],
    *,
    requests: int | None = None,
    launches: int = LAUNCHES,
    seconds: float = SECONDS,
    threads: int = 1,
    baseline: int | str = 0,
    images: int | None = None,
    seed: int = 0,
    timeout: float | None = None,
    progress: Progress | Count | None = None,
) -> ThroughputReport:
    """Count the images a second of bundles with several runs in flight, on this machine or on their board.

    OpenVINO gets as many infer requests as runs are in flight, and as many streams, up to its threads; of any
    other runtime each run has a thread and a session of its own, with its share of the threads; runs beyond
    the number of threads would wait, and are not started.

    Args:
        bundles: Bundles or their folders.
        requests: Runs in flight; None: one for each thread.
        threads: Of each runtime, all runs together.

    The other arguments, and what is raised, are those of :func:`edgeeff.harness.latency.benchmark`.
    """
    recorder = Recorder.of(progress)
    loaded = subjects.opened(bundles, launches=launches, seconds=seconds, threads=threads)
    flight = _flight(requests, threads)
    latency.refuse(None, timeout, launches)
    names = subjects.distinct_names(loaded)
    base = subjects.place_of(names, baseline)
    place = where.of(common_device(loaded))
    begun, cool = record("throughput", loaded, names, place), cooling.mark()
    with recorder.recording() as warned:
        batches = subjects.in_runs(loaded, images, recorder)
        subjects.warn_of_plugins(loaded, recorder)
        subjects.warn_of_place(loaded, recorder)
        series = Series(LAUNCH, loaded, batches, How(threads, seconds, seed, timeout, flight))
        taken = _launches(series, batches, launches, recorder)
        ran = sorted({place for launch in taken for place in launch.runs})
        _warn_of_shares([(names[place], loaded[place]) for place in ran], flight, threads, recorder)
        around = tuple(launch.around for launch in taken if launch.around is not None)
        waits = cooling.since(cool)
        for text in (*_doubts(around, place, threads), *cooling.doubts(waits)):
            recorder.warn(text)
    return ThroughputReport(
        entries=_entries(loaded, names, batches, taken, base, series.not_run),
        baseline=names[base],
        launches=len(taken),
        seconds=seconds,
        threads=threads,
        requests=flight,
        machine=place.machine,
        record=begun,
        around=around,
        warnings=tuple(warned),
        cooled=waits,
    )


def _doubts(around: Sequence[sensors.Around], place: where.Place, threads: int) -> list[str]:
    return [*sensors.doubts(around, place.machine.usable_cores, threads), *where.doubts(place.device)]


def _flight(requests: int | None, threads: int) -> int:
    """Runs in flight.

    Raises:
        OptionError: None at all were asked for.
    """
    flight = threads if requests is None else requests
    if flight < 1:
        raise OptionError(f"requests is {flight}", mend="give at least 1 run in flight")
    return flight


def _launches(series: Series, batches: Sequence[int], launches: int, recorder: Recorder) -> list[Launch]:
    recorder.stage(f"measuring {len(batches)} bundle{'s' * (len(batches) > 1)}", launches, "launches")
    taken: list[Launch] = []
    while len(taken) < launches and series.runnable:
        taken.append(from_events(series.launch(), batches, len(taken)))
        recorder.advance()
    series.refuse_changed()
    return taken


def _warn_of_shares(
    ran: Sequence[tuple[str, Bundle]], requests: int, threads: int, recorder: Recorder
) -> None:
    """Warn of bundles that had fewer runs in flight than asked for, or threads that nothing ran in.

    Args:
        ran: Bundles that were measured, with their names.
        requests: Asked for.
        threads: That the runs of a bundle share, where its runtime keeps no queue of them itself.
        recorder: Hears the warnings.
    """
    busy = shared_runs(requests, threads)
    for name, bundle in ran:
        if bundle.queues:
            continue
        if busy < requests:
            recorder.warn(
                f"{name}: {busy} runs in flight, not {requests}: each has a thread of its own, of {threads}; "
                f"give --threads {requests}, or --requests {threads}"
            )
        elif threads % busy:
            recorder.warn(
                f"{name}: {threads % busy} of {threads} threads run nothing, as {busy} runs in flight share "
                f"them equally; give --threads {threads - threads % busy}, or --requests {threads}"
            )


def _entries(
    bundles: Sequence[Bundle],
    names: Sequence[str],
    batches: Sequence[int],
    taken: Sequence[Launch],
    base: int,
    not_run: Mapping[int, str],
) -> tuple[Entry, ...]:
    made = []
    for place, (name, bundle, batch) in enumerate(zip(names, bundles, batches, strict=True)):
        of, runs = bundle.manifest, [launch.runs[place] for launch in taken if place in launch.runs]
        if not runs:
            made.append(Entry(name, of.runtime, of.precision, batch, not_run=not_run.get(place)))
            continue
        rates = tuple(batch / median(run.wall_ns) * 1e9 for run in runs)
        against = [-launch.log_ratio(place, base, "wall") for launch in taken if base in launch.runs]
        made.append(
            Entry(
                name,
                of.runtime,
                of.precision,
                batch,
                images_per_second=estimate([math.log(rate) for rate in rates]),
                launches=rates,
                cpu_ms=median(median(run.cpu_ns) for run in runs) / 1e6 / batch,
                ratio=estimate(against) if against and len(bundles) > 1 else None,
            )
        )
    return tuple(made)

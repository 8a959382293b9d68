"""How long an inference takes, and how sure one may be of it.

Several bundles run interleaved in one process, so that the clock, the heat and the neighbours meet all of
them alike; several launches, because a process's memory layout alone moves its times by some per cent. The
figure to trust on a shared machine is the ratio of CPU times; where a GPU computes, that of wall times.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edgeeff.bundle import Bundle
from edgeeff.errors import OptionError
from edgeeff.harness import machine
from edgeeff.harness.fresh_process import How, repeatedly
from edgeeff.harness.launch import Samples
from edgeeff.harness.record import Record, record
from edgeeff.metrics import Interval, bootstrap_ratio
from edgeeff.progress import Count, Progress

Clock = Literal["wall", "cpu"]

LAUNCH = "edgeeff.harness.launch"


@dataclass(frozen=True)
class Percentiles:
    """Of the times of single inferences, all launches together, milliseconds."""

    mean: float
    p50: float
    p90: float
    p99: float

    def divided(self, by: int) -> Percentiles:
        """Of each a part."""
        return Percentiles(self.mean / by, self.p50 / by, self.p90 / by, self.p99 / by)


@dataclass(frozen=True)
class Timing:
    """One bundle's times.

    An inference is a run of the bundle's batch: several images, where the bundle takes several.

    Args:
        wall_ms: Time that passed for an inference, milliseconds.
        cpu_ms: Time that all threads computed for it: the median over launches of each launch's median.
        wall_launches_ms: The median of each launch.
        cpu_launches_ms: The same of the CPU time.
        inferences: How many were timed, all launches together.
        steady_launches: In how many launches the warm-up ended because the times had settled.
        images: In one inference.
    """

    wall_ms: Percentiles
    cpu_ms: float
    wall_launches_ms: tuple[float, ...]
    cpu_launches_ms: tuple[float, ...]
    inferences: int
    steady_launches: int
    images: int = 1

    @property
    def wall_ms_per_image(self) -> Percentiles:
        """A run's time, for each of its images; an image waits for its whole run all the same."""
        return self.wall_ms.divided(self.images)

    @property
    def cpu_ms_per_image(self) -> float:
        """The CPU time of a run, for each of its images."""
        return self.cpu_ms / self.images

    def launches_ms_per_image(self, clock: Clock) -> tuple[float, ...]:
        """The median of each launch, for each image."""
        times = self.cpu_launches_ms if clock == "cpu" else self.wall_launches_ms
        return tuple(time / self.images for time in times)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "wall_ms": vars(self.wall_ms),
            "cpu_ms": self.cpu_ms,
            "images": self.images,
            "wall_ms_per_image": vars(self.wall_ms_per_image),
            "cpu_ms_per_image": self.cpu_ms_per_image,
            "wall_launches_ms": list(self.wall_launches_ms),
            "cpu_launches_ms": list(self.cpu_launches_ms),
            "inferences": self.inferences,
            "steady_launches": self.steady_launches,
        }


@dataclass(frozen=True)
class Ratio:
    """How many times as long an image takes as with the baseline; under 1 is faster.

    Args:
        value: The median over launches of the ratio of the two medians of a launch.
        interval: Its 95 % bootstrap interval; None of a single launch.
    """

    value: float
    interval: Interval | None

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {"value": self.value, "interval": list(self.interval) if self.interval else None}


@dataclass(frozen=True)
class Entry:
    """One bundle in a report: its times, or why it was NOT RUN."""

    name: str
    runtime: str
    precision: str
    runtime_properties: Mapping[str, str]
    timing: Timing | None
    not_run: str | None


@dataclass(frozen=True)
class LatencyReport:
    """What :func:`benchmark` found.

    Args:
        entries: One for each bundle, in the order they were given.
        baseline: The name of the bundle that the ratios are held against.
        launches: How many processes were started.
        seconds: Measuring time for each bundle in a launch.
        threads: Of each runtime.
        seed: Of the intervals, and of the image where a bundle carries none.
        machine: What the figures hold for.
        record: Which run this is, of which bundles, when and where.
    """

    entries: tuple[Entry, ...]
    baseline: str
    launches: int
    seconds: float
    threads: int
    seed: int
    machine: machine.Machine
    record: Record

    def entry(self, name: str) -> Entry:
        """The bundle of that name.

        Raises:
            OptionError: There is none.
        """
        for entry in self.entries:
            if entry.name == name:
                return entry
        known = ", ".join(entry.name for entry in self.entries)
        raise OptionError(f"no bundle named {name!r} was measured", mend=f"the bundles are {known}")

    def ratio(self, name: str, baseline: str | None = None, *, clock: Clock = "cpu") -> Ratio | None:
        """How long an image takes with ``name`` against the baseline or another bundle.

        None where one was NOT RUN.
        """
        test, against = self.entry(name).timing, self.entry(baseline or self.baseline).timing
        if test is None or against is None:
            return None
        return paired_ratio(
            test.launches_ms_per_image(clock), against.launches_ms_per_image(clock), self.seed
        )

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "entries": [self._entry_json(entry) for entry in self.entries],
            "baseline": self.baseline,
            "launches": self.launches,
            "seconds": self.seconds,
            "threads": self.threads,
            "seed": self.seed,
            "machine": self.machine.to_json(),
            "record": self.record.to_json(),
        }

    def _entry_json(self, entry: Entry) -> dict[str, Any]:
        cpu, wall = self.ratio(entry.name), self.ratio(entry.name, clock="wall")
        return {
            "name": entry.name,
            "status": "NOT RUN" if entry.timing is None else "ok",
            "reason": entry.not_run,
            "runtime": entry.runtime,
            "precision": entry.precision,
            "runtime_properties": dict(entry.runtime_properties),
            "timing": entry.timing.to_json() if entry.timing else None,
            "cpu_ratio": cpu.to_json() if cpu else None,
            "wall_ratio": wall.to_json() if wall else None,
        }


def benchmark(
    bundles: Sequence[Bundle | Path | str],
    *,
    launches: int = 5,
    seconds: float = 2.0,
    threads: int = 1,
    baseline: int | str = 0,
    images: int | None = None,
    seed: int = 0,
    progress: Progress | Count | None = None,
) -> LatencyReport:
    """Time bundles against one another on this machine.

    Each launch is a fresh process that loads all of them, warms them up until their times are steady, and
    runs them round-robin on one prepared input, in an order that changes with each round: one image, or as
    many as a run of the bundle takes. A bundle whose runtime cannot run here is listed as NOT RUN. With
    several threads, a pool that still spins after its inference is charged to the next one: compare such
    figures by wall time.

    Args:
        bundles: Bundles or their folders.
        launches: Processes to start, one after another; five give an interval.
        seconds: Measuring time for each bundle in a launch; the warm-up takes as long at most.
        threads: Of each runtime.
        baseline: The bundle that the others are held against, by its place or its name.
        images: In a run of bundles that take any number up to theirs; None: the most that they take.
        seed: Of the bootstrap, and of the noise that a bundle without golden images is run on.
        progress: Told of each launch; or a plain function, called with the launches done and all of them.

    Raises:
        OptionError: A number that makes no sense, or no such baseline.
        BundleError: A bundle cannot be read, or was altered.
        ChangedFileError: A bundle was replaced meanwhile.
        EdgeeffError: A bundle crashed its process; the message ends with what it printed.
    """
    loaded = opened(bundles, launches=launches, seconds=seconds, threads=threads)
    names = distinct_names(loaded)
    base = _baseline(names, baseline)
    batches = [in_a_run(bundle, images) for bundle in loaded]
    here = machine.describe()
    begun = record("latency", loaded, names, here)
    gathered: list[list[Samples]] = [[] for _ in loaded]
    settled = [0] * len(loaded)

    def hear(event: Mapping[str, Any]) -> None:
        if event["event"] == "samples":
            gathered[event["bundle"]].append(Samples(event["wall_ns"], event["cpu_ns"]))
            settled[event["bundle"]] += event["steady"]

    not_run = repeatedly(LAUNCH, loaded, batches, hear, How(threads, seconds, seed), launches, progress)
    entries = []
    for i, (name, bundle) in enumerate(zip(names, loaded, strict=True)):
        of, timing = bundle.manifest, None
        if i not in not_run:
            timing = summarise(gathered[i], settled[i], batches[i])
        said = (name, of.runtime, of.precision, of.runtime_properties)
        entries.append(Entry(*said, timing, not_run.get(i)))
    return LatencyReport(tuple(entries), names[base], launches, seconds, threads, seed, here, begun)


def summarise(launches: Sequence[Samples], steady_launches: int, images: int = 1) -> Timing:
    """One bundle's samples, a :class:`Samples` for each launch, as figures; ``images`` of each inference."""
    wall = np.concatenate([np.asarray(samples.wall_ns, np.float64) for samples in launches]) / 1e6
    p50, p90, p99 = (float(p) for p in np.percentile(wall, [50, 90, 99]))
    cpu_medians = tuple(float(np.median(samples.cpu_ns)) / 1e6 for samples in launches)
    return Timing(
        wall_ms=Percentiles(float(wall.mean()), p50, p90, p99),
        cpu_ms=float(np.median(cpu_medians)),
        wall_launches_ms=tuple(float(np.median(samples.wall_ns)) / 1e6 for samples in launches),
        cpu_launches_ms=cpu_medians,
        inferences=len(wall),
        steady_launches=steady_launches,
        images=images,
    )


def in_a_run(bundle: Bundle, images: int | None) -> int:
    """How many images a run of the bundle is measured with.

    Args:
        bundle: Of a fixed batch that is the number, whatever is asked for.
        images: Asked for of a bundle that takes any number up to its own; None: its own.

    Raises:
        OptionError: More than the bundle takes, or none.
    """
    batch = bundle.manifest.batch
    if images is None or not batch.dynamic:
        return batch.size
    if not 1 <= images <= batch.size:
        raise OptionError(
            f"{images} images in a run, and {bundle.name} takes {batch}",
            mend=f"give 1 to {batch.size}, or build it with --batch dynamic:{max(images, 1)}",
        )
    return images


def paired_ratio(test: Sequence[float], baseline: Sequence[float], seed: int) -> Ratio | None:
    """The median over launches of test / baseline, with its interval.

    None where a baseline's time is 0: its clock is too coarse to say anything.
    """
    if min(baseline) <= 0:
        return None
    ratios = [a / b for a, b in zip(test, baseline, strict=True)]
    return Ratio(float(np.median(ratios)), bootstrap_ratio(test, baseline, seed))


def opened(
    bundles: Sequence[Bundle | Path | str], *, launches: int, seconds: float, threads: int
) -> list[Bundle]:
    """The bundles that are to be measured.

    Raises:
        OptionError: None, or a number that makes no sense.
        BundleError: One cannot be read.
    """
    if not bundles:
        raise OptionError("no bundle to measure", mend="name at least one bundle")
    for name, value, least in (("launches", launches, 1), ("threads", threads, 1)):
        if value < least:
            raise OptionError(f"{name} is {value}", mend=f"give at least {least}")
    if not 0 < seconds < float("inf"):
        raise OptionError(f"seconds is {seconds}", mend="give a positive number of seconds")
    return [bundle if isinstance(bundle, Bundle) else Bundle.load(bundle) for bundle in bundles]


def distinct_names(bundles: Sequence[Bundle]) -> list[str]:
    """The bundles' names; those of one name are told apart by their folders."""
    counts = Counter(bundle.name for bundle in bundles)
    names = [b.name if counts[b.name] == 1 else f"{b.name} ({b.folder})" for b in bundles]
    if len(set(names)) < len(names):
        raise OptionError(
            f"a bundle is named twice: {', '.join(sorted({n for n in names if names.count(n) > 1}))}",
            mend="name each bundle once",
        )
    return names


def _baseline(names: Sequence[str], baseline: int | str) -> int:
    if isinstance(baseline, int) and 0 <= baseline < len(names):
        return baseline
    if isinstance(baseline, str) and baseline in names:
        return names.index(baseline)
    raise OptionError(
        f"no bundle {baseline!r} to hold the others against", mend=f"choose one of {', '.join(names)}"
    )

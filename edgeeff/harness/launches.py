"""Launches as data: what one fresh process measured of several bundles, and the figure that compares two.

A launch's figure is the median over its rounds of log(test / baseline): both runs of a round meet the same
clock, heat and neighbours, so that what disturbs a round disturbs both. The ratio of two medians does not use
this; its deviation over launches of identical bundles was 1.7 times as large. Rounds of one process are not
independent (they share its memory layout), launches are: intervals and decisions are made over launches.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from edgeeff.bundle import Bundle
from edgeeff.errors import EdgeeffError, OptionError
from edgeeff.harness.fresh_process import How, Series, start
from edgeeff.harness.sensors import Around
from edgeeff.onboard.energy import Energy

__all__ = ["LAUNCH", "Clock", "How", "Launch", "Run", "Series", "from_events", "measure"]

Clock = Literal["wall", "cpu"]

LAUNCH = "edgeeff.harness.launch"


@dataclass(frozen=True)
class Run:
    """One bundle in one launch.

    Args:
        wall_ns: Time that passed for each inference, nanoseconds; one entry for each round.
        cpu_ns: Time that all threads of the process computed for it.
        images: In one inference.
        steady: Whether the warm-up ended because the times had settled.
        place: In the order of loading, from 0. The first one also pays for the start of its runtime.
        load_ms: To make the artifact ready, its runtime's modules imported before.
        first_ms: Of the first inference.
        peak_memory_mb: By how much the process's peak of resident memory rose while this bundle was loaded
            and ran once, 10⁶ bytes; None where the kernel does not say. Of the bundle at place 0 it holds
            what a product pays; a later one finds its runtime's libraries there.
        energy: Of an inference, in a block of its own; None where there is no meter that can be read.
    """

    wall_ns: tuple[int, ...]
    cpu_ns: tuple[int, ...]
    images: int
    steady: bool
    place: int
    load_ms: float
    first_ms: float
    peak_memory_mb: float | None
    energy: Energy | None = None

    def times_ns(self, clock: Clock) -> tuple[int, ...]:
        """Of each round's inference, by one of the two clocks."""
        return self.cpu_ns if clock == "cpu" else self.wall_ns


@dataclass(frozen=True)
class Launch:
    """What one process measured.

    Args:
        number: Which of a series it is, from 0; it decided about the order of loading.
        runs: By the places of the bundles; rounds are aligned between them.
        not_run: Why bundles were not run, by their places.
        around: The clock, the heat and the load that it was measured under; None where nothing ran.
    """

    number: int
    runs: Mapping[int, Run]
    not_run: Mapping[int, str]
    around: Around | None = None

    def log_ratio(self, test: int, baseline: int, clock: Clock = "cpu") -> float:
        """The median over rounds of log(time of an image with ``test`` / with ``baseline``).

        Args:
            test: A bundle's place.
            baseline: Another one's.
            clock: CPU time for one thread on a CPU, whatever else the machine does; wall time where a GPU
                or several threads compute, on a quiet machine.

        Raises:
            OptionError: One of the two was not run.
            EdgeeffError: A time is 0: the clock is too coarse to compare such short inferences.
        """
        for place in (test, baseline):
            if place not in self.runs:
                reason = self.not_run.get(place, "no such bundle")
                raise OptionError(f"bundle {place} was not run: {reason}", mend="compare bundles that ran")
        a, b = self.runs[test], self.runs[baseline]
        times, others = (np.asarray(run.times_ns(clock), np.float64) for run in (a, b))
        if min(times.min(), others.min()) <= 0:
            raise EdgeeffError(
                f"the {clock} clock is too coarse: inferences are shorter than one of its steps",
                mend="compare by the other clock, or measure more images in a run",
            )
        return float(np.median(np.log(times / others))) - math.log(a.images / b.images)


def measure(bundles: Sequence[Bundle], batches: Sequence[int], how: How, number: int) -> Launch:
    """Measure bundles in one fresh process: loaded, warmed up, and run round-robin.

    Args:
        bundles: A bundle whose runtime cannot run here is NOT RUN, the others are measured.
        batches: How many images a run of each has.
        how: How it is measured.
        number: Which launch of a series this is: the order of loading changes with it.

    Raises:
        BundleError: A bundle was altered.
        EdgeeffError: A bundle crashed the process, or it hung; the message names the bundle and ends with
            what was printed.
    """
    return from_events(start(LAUNCH, bundles, batches, how, number), batches, number)


def from_events(events: Sequence[Mapping[str, Any]], batches: Sequence[int], number: int) -> Launch:
    """A launch from what its process told.

    Args:
        events: In the order they came; ``bundle`` is a place.
        batches: How many images a run of each bundle has.
        number: Which launch it is.
    """
    of: dict[str, dict[int, Mapping[str, Any]]] = defaultdict(dict)
    for event in events:
        of[event["event"]][event.get("bundle", -1)] = event
    runs = {}
    for place, bundle in enumerate(of["loaded"]):
        cost, sampled = of["loaded"][bundle], of["samples"][bundle]
        runs[bundle] = Run(
            wall_ns=tuple(sampled["wall_ns"]),
            cpu_ns=tuple(sampled["cpu_ns"]),
            images=batches[bundle],
            steady=sampled["steady"],
            place=place,
            load_ms=cost["load_ms"],
            first_ms=cost["first_ms"],
            peak_memory_mb=cost["peak_memory_mb"],
            energy=_energy(of["energy"].get(bundle)),
        )
    around = of["conditions"].get(-1)
    return Launch(
        number,
        runs,
        {bundle: event["what"] for bundle, event in of["not run"].items()},
        None if around is None else Around.from_json(around),
    )


def _energy(told: Mapping[str, Any] | None) -> Energy | None:
    return None if told is None else Energy(told["millijoules"], told["watts"], told["meter"])

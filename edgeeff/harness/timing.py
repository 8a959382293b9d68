"""The times of one bundle, from what several launches measured of it.

Figures over launches are geometric means with intervals of Student's t; percentiles are of single
inferences, all launches together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from edgeeff.harness.estimate import Estimate, estimate
from edgeeff.harness.launches import Clock, Run

#: From so many inferences the slowest one is beyond the p99.9 with a probability of 95 %: 1 − 0.999ⁿ ≥ 0.95.
P99_9_NEEDS = 2995


@dataclass(frozen=True)
class Percentiles:
    """Of the times of single inferences, all launches together, milliseconds.

    ``p99_9`` is None of fewer than :data:`P99_9_NEEDS` inferences, which say nothing of it.
    """

    mean: float
    p50: float
    p90: float
    p99: float
    p99_9: float | None = None

    def divided(self, by: int) -> Percentiles:
        """Of each a part."""
        rarest = None if self.p99_9 is None else self.p99_9 / by
        return Percentiles(self.mean / by, self.p50 / by, self.p90 / by, self.p99 / by, rarest)


@dataclass(frozen=True)
class LoadingTimes:
    """What it costs to make a bundle ready: medians of the launches that loaded it before all others.

    A bundle that is loaded later finds its runtime's libraries in the process, and pays less.

    Args:
        load_ms: To read the artifact and make it ready.
        first_ms: Of the first inference.
        peak_memory_mb: By how much the process's peak of resident memory rose meanwhile, 10⁶ bytes; None
            where the kernel does not say.
        launches: How many loaded it first.
    """

    load_ms: float
    first_ms: float
    peak_memory_mb: float | None
    launches: int


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
        wall: The geometric mean over launches of their medians, milliseconds, with its interval.
        cpu: The same of the CPU time; None where the clock is too coarse for it.
        loading: None where no launch loaded this bundle first.
        energy_mj: Of an inference, the geometric mean over launches with its interval, millijoules, and what
            the package or board draws when idle in it; None without a meter that can be read.
        energy_meter: Which one.
    """

    wall_ms: Percentiles
    cpu_ms: float
    wall_launches_ms: tuple[float, ...]
    cpu_launches_ms: tuple[float, ...]
    inferences: int
    steady_launches: int
    images: int
    wall: Estimate
    cpu: Estimate | None
    loading: LoadingTimes | None
    energy_mj: Estimate | None = None
    energy_meter: str | None = None

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
            "wall_over_launches_ms": self.wall.to_json(),
            "cpu_over_launches_ms": self.cpu.to_json() if self.cpu else None,
            "inferences": self.inferences,
            "steady_launches": self.steady_launches,
            "loading": vars(self.loading) if self.loading else None,
            "energy_mj": self.energy_mj.to_json() if self.energy_mj else None,
            "energy_meter": self.energy_meter,
        }


def summarise(runs: Sequence[Run]) -> Timing:
    """One bundle's runs, one of each launch, as figures."""
    wall = np.concatenate([np.asarray(run.wall_ns, np.float64) for run in runs]) / 1e6
    p50, p90, p99, p99_9 = (float(p) for p in np.percentile(wall, [50, 90, 99, 99.9]))
    clocks: tuple[Clock, Clock] = ("wall", "cpu")
    medians = {clock: tuple(float(np.median(run.times_ns(clock))) / 1e6 for run in runs) for clock in clocks}
    enough = len(wall) >= P99_9_NEEDS
    energies = [run.energy for run in runs if run.energy is not None]
    return Timing(
        wall_ms=Percentiles(float(wall.mean()), p50, p90, p99, p99_9 if enough else None),
        cpu_ms=median(medians["cpu"]),
        wall_launches_ms=medians["wall"],
        cpu_launches_ms=medians["cpu"],
        inferences=len(wall),
        steady_launches=sum(run.steady for run in runs),
        images=runs[0].images,
        wall=estimate([math.log(time) for time in medians["wall"]]),
        cpu=estimate([math.log(time) for time in medians["cpu"]]) if min(medians["cpu"]) > 0 else None,
        loading=_loading([run for run in runs if run.place == 0]),
        energy_mj=estimate([math.log(one.millijoules) for one in energies]) if energies else None,
        energy_meter=energies[0].meter if energies else None,
    )


def _loading(first: Sequence[Run]) -> LoadingTimes | None:
    if not first:
        return None
    peaks = [run.peak_memory_mb for run in first if run.peak_memory_mb is not None]
    return LoadingTimes(
        load_ms=median(run.load_ms for run in first),
        first_ms=median(run.first_ms for run in first),
        peak_memory_mb=median(peaks) if peaks else None,
        launches=len(first),
    )

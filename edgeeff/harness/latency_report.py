"""A report of latencies: the times of each bundle, and how they compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgeeff.errors import EdgeeffError, OptionError
from edgeeff.harness import machine
from edgeeff.harness.cooling import Cooled
from edgeeff.harness.estimate import Estimate, estimate
from edgeeff.harness.launches import Clock, Launch
from edgeeff.harness.record import Record
from edgeeff.harness.timing import Timing
from edgeeff.harness.tools import Compared
from edgeeff.metrics import Interval


@dataclass(frozen=True)
class Ratio:
    """How many times as long an image takes as with the baseline; under 1 is faster.

    Args:
        value: The geometric mean over launches of the launch's figure: the median over rounds of the ratio.
        interval: Its 95 % interval (Student's t over launches); None of a single launch.
    """

    value: float
    interval: Interval | None

    @property
    def half_width(self) -> float | None:
        """By how large a part the value may be wrong; None without an interval."""
        return Estimate(self.value, self.interval).half_width

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return Estimate(self.value, self.interval).to_json()


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
        launches: How many processes measured.
        seconds: Measuring time for each bundle in a launch.
        threads: Of each runtime.
        seed: Of the image where a bundle carries none.
        machine: What the figures hold for.
        record: Which run this is, of which bundles, when and where.
        clock: Which clock the bundles are compared by: CPU time where one thread of a CPU computes.
        taken: What each launch measured.
        until: How narrow the interval was to be, such as 0.01 for ± 1 %.
        reached: Whether it is; None where nothing was asked for.
        warnings: What the reader must not miss.
        tools: What the runtimes' own benchmarks say of the same artifacts; empty where they were not asked.
        cooled: How each launch waited until it was cool; empty where that was not asked for.
    """

    entries: tuple[Entry, ...]
    baseline: str
    launches: int
    seconds: float
    threads: int
    seed: int
    machine: machine.Machine
    record: Record
    clock: Clock
    taken: tuple[Launch, ...]
    until: float | None = None
    reached: bool | None = None
    warnings: tuple[str, ...] = ()
    tools: tuple[Compared, ...] = ()
    cooled: tuple[Cooled, ...] = ()

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

    def log_ratios(
        self, name: str, baseline: str | None = None, *, clock: Clock | None = None
    ) -> list[float]:
        """Each launch's figure, in order; none where one of the two was NOT RUN or the clock is too coarse.

        Args:
            name: A bundle.
            baseline: Another one; None: the report's baseline.
            clock: None: the report's.
        """
        test, against = (self._place(self.entry(one).name) for one in (name, baseline or self.baseline))
        if any(self.entries[place].timing is None for place in (test, against)):
            return []
        try:
            return [launch.log_ratio(test, against, clock or self.clock) for launch in self.taken]
        except EdgeeffError:
            return []

    def ratio(self, name: str, baseline: str | None = None, *, clock: Clock | None = None) -> Ratio | None:
        """How long an image takes with ``name`` against the baseline or another bundle.

        Args:
            name: A bundle.
            baseline: Another one; None: the report's baseline.
            clock: None: the report's.

        Returns:
            None where one was NOT RUN, or where the clock is too coarse to say anything.
        """
        logs = self.log_ratios(name, baseline, clock=clock)
        if not logs:
            return None
        made = estimate(logs)
        return Ratio(made.value, made.interval)

    def _place(self, name: str) -> int:
        return [entry.name for entry in self.entries].index(name)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "entries": [self._entry_json(entry) for entry in self.entries],
            "baseline": self.baseline,
            "launches": self.launches,
            "seconds": self.seconds,
            "threads": self.threads,
            "seed": self.seed,
            "clock": self.clock,
            "until": self.until,
            "reached": self.reached,
            "warnings": list(self.warnings),
            "conditions": [launch.around.to_json() if launch.around else None for launch in self.taken],
            "tools": [compared.to_json() for compared in self.tools],
            "cooled": [one.to_json() for one in self.cooled],
            "machine": self.machine.to_json(),
            "record": self.record.to_json(),
        }

    def _entry_json(self, entry: Entry) -> dict[str, Any]:
        cpu, wall = self.ratio(entry.name, clock="cpu"), self.ratio(entry.name, clock="wall")
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
            "cpu_log_ratios": self.log_ratios(entry.name, clock="cpu"),
            "wall_log_ratios": self.log_ratios(entry.name, clock="wall"),
        }

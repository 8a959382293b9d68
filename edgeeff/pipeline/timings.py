"""Artifacts of a build timed against one another, and what makes a decision by these timings doubtful."""

from __future__ import annotations

from collections.abc import Sequence

from edgeeff.bundle import Bundle
from edgeeff.harness import latency, sensors
from edgeeff.harness.latency_report import LatencyReport
from edgeeff.progress import Progress, Silent


def timed(
    bundles: Sequence[Bundle], progress: Progress, *, launches: int, seconds: float, baseline: int | str = 0
) -> LatencyReport:
    """Time bundles in turn. What is warned of is in the report alone: see :func:`doubts`.

    Arguments and errors as of :func:`edgeeff.harness.latency.benchmark`; ``progress`` is told what concerns
    wall times alone, where CPU times are compared.
    """
    report = latency.benchmark(
        bundles, baseline=baseline, launches=launches, seconds=seconds, progress=Silent()
    )
    for text in _of_wall_times(report):
        progress.tell(text)
    return report


def doubts(report: LatencyReport) -> tuple[str, ...]:
    """What makes a decision by the report's ratios doubtful, a sentence each.

    Their intervals say how much launches differ, and nothing of what moves all of them one way.
    """
    harmless = _of_wall_times(report)
    return tuple(text for text in report.warnings if text not in harmless)


def _of_wall_times(report: LatencyReport) -> list[str]:
    if report.clock == "wall":
        return []
    around = [launch.around for launch in report.taken if launch.around is not None]
    return sensors.of_wall_times(around, report.machine.usable_cores, report.threads)

"""How latencies look: tables that hold at 80 columns, and the lines beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from edgeeff.cli.tables import NOT_RUN, new

if TYPE_CHECKING:
    from edgeeff.harness.estimate import Estimate
    from edgeeff.harness.latency_report import LatencyReport, Ratio
    from edgeeff.harness.profile import ProfileReport


def latency_table(report: LatencyReport) -> Table:
    """Latency of each bundle with how sure it is, and the ratio to the baseline with its 95 % interval."""
    if any(entry.timing and entry.timing.images > 1 for entry in report.entries):
        return _batch_latency_table(report)
    rarest = any(entry.timing and entry.timing.wall_ms.p99_9 for entry in report.entries)
    columns = ("bundle", ">p50\nms", ">p90", ">p99", *([">p99.9"] if rarest else []), ">CPU\nms")
    made = new(*columns, f">{report.clock} time: ratio\nto {report.baseline}")
    for entry in report.entries:
        timing = entry.timing
        if timing is None:
            made.add_row(f"{entry.name}\n{entry.precision}", NOT_RUN)
            continue
        wall = timing.wall_ms
        tail = [wall.p90, wall.p99, *([wall.p99_9] if rarest else [])]
        made.add_row(
            f"{entry.name}\n{entry.precision}",
            f"{wall.p50:.2f}{_width(timing.wall)}",
            *("" if value is None else f"{value:.2f}" for value in tail),
            f"{timing.cpu_ms:.2f}{_width(timing.cpu)}",
            _ratio(report.ratio(entry.name)),
        )
    return made


def _batch_latency_table(report: LatencyReport) -> Table:
    """The same of runs of several images: of a run, and of each of its images."""
    columns = ("bundle", ">images", ">run\np50 ms", ">run\np99 ms", ">image\np50 ms", ">image\nCPU ms")
    made = new(*columns, f">image: ratio to\n{report.baseline}")
    for entry in report.entries:
        timing = entry.timing
        if timing is None:
            made.add_row(entry.name, NOT_RUN)
            continue
        made.add_row(
            entry.name,
            str(timing.images),
            f"{timing.wall_ms.p50:.2f}{_width(timing.wall)}",
            f"{timing.wall_ms.p99:.2f}",
            f"{timing.wall_ms_per_image.p50:.2f}",
            f"{timing.cpu_ms_per_image:.2f}{_width(timing.cpu)}",
            _ratio(report.ratio(entry.name)),
        )
    return made


def loading_table(report: LatencyReport) -> Table | None:
    """What it costs to make each bundle ready; None where no launch loaded one first."""
    made = new("bundle", ">load ms", ">first inference ms", ">peak memory MB")
    for entry in report.entries:
        loading = entry.timing.loading if entry.timing else None
        if loading is not None:
            peak = "" if loading.peak_memory_mb is None else f"{loading.peak_memory_mb:.1f}"
            made.add_row(entry.name, f"{loading.load_ms:.1f}", f"{loading.first_ms:.2f}", peak)
    return made if made.row_count else None


def notes(report: LatencyReport) -> list[str]:
    """Why bundles were not run, and what the figures are too few for."""
    from edgeeff.harness.timing import P99_9_NEEDS

    found = [f"{entry.name}: {NOT_RUN}: {entry.not_run}" for entry in report.entries if entry.not_run]
    timed = [entry.timing for entry in report.entries if entry.timing]
    if few := [timing.inferences for timing in timed if timing.wall_ms.p99_9 is None]:
        found.append(f"p99.9 needs {P99_9_NEEDS} inferences; {min(few)} were timed.")
    return found


def conditions(report: LatencyReport | ProfileReport) -> str:
    """What figures hold for, in two lines."""
    here, threads = report.machine, report.threads
    return (
        f"{here.cpu or 'processor unknown'}, governor {here.governor or 'unknown'},\n"
        f"{threads} thread{'s' if threads > 1 else ''}, {report.launches} launches of {report.seconds:g} s "
        "a bundle"
    )


def _width(made: Estimate | None) -> str:
    width = made.half_width if made else None
    return "" if width is None else f"\n± {width:.1%}"


def _ratio(ratio: Ratio | None) -> str:
    if ratio is None:
        return ""
    between = f"\n{ratio.interval.low:.3f}…{ratio.interval.high:.3f}" if ratio.interval else ""
    return f"{ratio.value:.3f}{between}"

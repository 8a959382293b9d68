"""How latencies look: tables that hold at 80 columns, and the lines beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from edgeeff import inference_device
from edgeeff.cli.tables import NOT_RUN, new

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeeff.harness.cooling import Cooled
    from edgeeff.harness.estimate import Estimate
    from edgeeff.harness.latency_report import LatencyReport, Ratio
    from edgeeff.harness.profile import ProfileReport
    from edgeeff.harness.sensors import Conditions
    from edgeeff.harness.throughput import ThroughputReport


def _new(*columns: str) -> Table:
    """A table whose names give way at 80 columns, never its numbers."""
    made = new(*columns)
    for column in made.columns[1:]:
        column.no_wrap = True
    return made


def latency_table(report: LatencyReport) -> Table:
    """Latency of each bundle with how sure it is, and the ratio to the baseline with its 95 % interval."""
    if any(entry.timing and entry.timing.images > 1 for entry in report.entries):
        return _batch_latency_table(report)
    rarest = any(entry.timing and entry.timing.wall_ms.p99_9 for entry in report.entries)
    columns = ("bundle", ">p50\nms", ">p90", ">p99", *([">p99.9"] if rarest else []), ">CPU\nms")
    made = _new(*columns, ">ratio")
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
    made = _new(*columns, ">image:\nratio")
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


def tools_table(report: LatencyReport) -> Table:
    """Each bundle alone, by ours and by its runtime's own benchmark: medians of wall time."""
    made = _new("bundle alone", ">bench\np50 ms", ">the tool's\np50 ms", ">ours/theirs", ">of the\nshortest")
    for one in report.tools:
        if one.ours_ms is None or one.theirs_ms is None:
            made.add_row(f"{one.bundle}\n{one.tool or ''}", "", NOT_RUN)
            continue
        made.add_row(
            f"{one.bundle}\n{one.tool}",
            f"{one.ours_ms.value:.2f}{_width(one.ours_ms)}",
            f"{one.theirs_ms.value:.2f}{_width(one.theirs_ms)}",
            _ratio(one.ratio),
            _ratio(one.least_ratio),
        )
    return made


def throughput_table(report: ThroughputReport) -> Table:
    """Images a second of each bundle, with how sure they are."""
    several = len(report.entries) > 1
    columns = ("bundle", "precision", ">images\nin a run", ">images\na second", ">image\nCPU ms")
    made = _new(*columns, *([">ratio"] if several else []))
    for entry in report.entries:
        rate = entry.images_per_second
        if rate is None or entry.cpu_ms is None:
            made.add_row(entry.name, entry.precision, str(entry.images), NOT_RUN)
            continue
        made.add_row(
            entry.name,
            entry.precision,
            str(entry.images),
            f"{rate.value:.1f}{_width(rate)}",
            f"{entry.cpu_ms:.2f}",
            *([_ratio(entry.ratio)] if several else []),
        )
    return made


def loading_table(report: LatencyReport) -> Table | None:
    """What it costs to make each bundle ready, and what an inference draws; None where nothing says it."""
    timed = [(entry.name, entry.timing) for entry in report.entries if entry.timing]
    metered = any(timing.energy_mj for _, timing in timed)
    columns = ("bundle", ">load\nms", ">first\nms", ">peak memory\nMB")
    made = _new(*columns, *([">energy\nmJ an inference"] if metered else []))
    for name, timing in timed:
        loading, energy = timing.loading, timing.energy_mj
        if loading is None and energy is None:
            continue
        cells = ["", "", ""]
        if loading is not None:
            peak = "" if loading.peak_memory_mb is None else f"{loading.peak_memory_mb:.1f}"
            cells = [f"{loading.load_ms:.1f}", f"{loading.first_ms:.2f}", peak]
        made.add_row(name, *cells, *([f"{energy.value:.2f}{_width(energy)}"] if energy else []))
    return made if made.row_count else None


#: From here on a half width says nothing: launches are too few, or differ too much.
_TOO_WIDE = 1.0


def notes(report: LatencyReport) -> list[str]:
    """Why bundles were not run, and what the figures are too few for."""
    from edgeeff.harness.timing import P99_9_NEEDS
    from edgeeff.onboard import energy

    found = [f"{entry.name}: {NOT_RUN}: {entry.not_run}" for entry in report.entries if entry.not_run]
    if len(report.entries) > 1:
        clock = "CPU" if report.clock == "cpu" else "wall"
        found.append(f"Ratios are of {clock} time, to {report.baseline}; under 1 is faster.")
    found += [
        f"{one.bundle}: {one.tool or 'tool'}: {NOT_RUN}: {one.reason}" for one in report.tools if one.reason
    ]
    timed = [entry.timing for entry in report.entries if entry.timing]
    sure = [made for timing in timed for made in (timing.wall, timing.cpu)]
    if any(made and (made.half_width or 0.0) >= _TOO_WIDE for made in sure):
        found.append(
            f"± > 100%: {report.launches} launches are too few, or differ too much, for an interval."
        )
    if few := [timing.inferences for timing in timed if timing.wall_ms.p99_9 is None]:
        found.append(f"p99.9 needs {P99_9_NEEDS} inferences; {min(few)} were timed.")
    if meters := dict.fromkeys(timing.energy_meter for timing in timed if timing.energy_meter):
        found.append(f"energy by {', '.join(meters)}, what is drawn when idle included.")
    around = [launch.around for launch in report.taken if launch.around]
    found += _cooled(report.cooled)
    if around:
        found += _conditions_seen(around[0].before, around[-1].after)
        # Whether RAPL is there and locked is known of this machine alone.
        locked = report.record.device is None and energy.locked()
        of_energy = f"energy{' (RAPL is for root alone)' if locked else ''}"
        missing = around[0].before.unreadable() + ([] if meters else [of_energy])
        place = "here" if report.record.device is None else "there"
        found += [f"Not readable {place}: {', '.join(missing)}."] if missing else []
    return found


def _cooled(waits: Sequence[Cooled]) -> list[str]:
    """How long was waited until it was cool; what did not become so is a warning."""
    told = [one for one in waits if one.after is not None]
    if not told:
        return []
    waited, hottest = sum(one.waited for one in told), max(one.after or 0.0 for one in told)
    return [
        f"Cooled to {told[0].to:g} °C before each launch: {waited:.0f} s waited in all, begun at "
        f"{hottest:.0f} °C at most."
    ]


def _conditions_seen(before: Conditions, after: Conditions) -> list[str]:
    """The clock and the heat, as measuring began and as it ended."""
    seen = []
    if before.cpu_mhz and after.cpu_mhz:
        seen.append(f"clock {max(before.cpu_mhz):.0f} → {max(after.cpu_mhz):.0f} MHz")
    if before.temperatures_c and after.temperatures_c:
        hottest = max(after.temperatures_c, key=lambda name: after.temperatures_c[name])
        if hottest in before.temperatures_c:
            degrees = f"{before.temperatures_c[hottest]:.0f} → {after.temperatures_c[hottest]:.0f} °C"
            seen.append(f"{hottest} {degrees}")
    return [f"From the first launch to the last: {', '.join(seen)}."] if seen else []


def conditions(report: LatencyReport | ProfileReport | ThroughputReport) -> str:
    """What figures hold for, in two lines, on a board in three."""
    here, threads, device = report.machine, report.threads, report.record.device
    name = report.record.environment.get(inference_device.FACT)
    there = "" if device is None else f"{device}{f', {here.board}' if here.board else ''}:\n"
    there += "" if name is None else f"OpenVINO's {name} of\n"
    return (
        f"{there}{here.cpu or 'processor unknown'}, governor {here.governor or 'unknown'},\n"
        f"{threads} thread{'s' if threads > 1 else ''}, {report.launches} launches of {report.seconds:g} s "
        "a bundle"
    )


def _width(made: Estimate | None) -> str:
    width = made.half_width if made else None
    if width is None:
        return ""
    return f"\n± {width:.1%}" if width < _TOO_WIDE else f"\n± > {_TOO_WIDE:.0%}"


def _ratio(ratio: Ratio | Estimate | None) -> str:
    if ratio is None:
        return ""
    between = f"\n{ratio.interval.low:.3f}…{ratio.interval.high:.3f}" if ratio.interval else ""
    return f"{ratio.value:.3f}{between}"

"""edgeeff bench: latency of one or several bundles, interleaved, or a profile of their layers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from edgeeff import inference_device
from edgeeff.cli import _phones, console, on_device, options, recording, tables, timings
from edgeeff.cli.groups import grouped
from edgeeff.errors import OptionError
from edgeeff.progress import Recorder

if TYPE_CHECKING:
    from edgeeff.device import Device
    from edgeeff.harness.latency import LatencyReport
    from edgeeff.harness.profile import ProfileReport
    from edgeeff.harness.throughput import ThroughputReport

Mode = Literal["latency", "throughput", "profile"]
_LENGTH = "How long"
_WHAT = "What is measured"


@dataclass(frozen=True)
class What:
    """What is measured."""

    threads: Annotated[
        str | None,
        typer.Option(
            help="Threads of each runtime; several as 1,2,4. Default: 1, with --throughput all processors.",
            rich_help_panel=_WHAT,
        ),
    ] = None
    device_name: Annotated[
        str | None,
        typer.Option(
            "--device-name",
            metavar="NAME",
            help="What OpenVINO computes on: CPU, GPU, GPU.1, NPU, or HETERO:GPU,CPU. Default: CPU.",
            rich_help_panel=_WHAT,
        ),
    ] = None
    images: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Images in a run of bundles of --batch dynamic; else the most that they take.",
            rich_help_panel=_WHAT,
        ),
    ] = None
    tools: Annotated[
        bool,
        typer.Option(
            "--tools",
            help="Beside it: OpenVINO's benchmark_app and LiteRT's benchmark on the same artifacts.",
            rich_help_panel=_WHAT,
        ),
    ] = False
    throughput: Annotated[
        bool,
        typer.Option(
            "--throughput", help="Images a second with several runs in flight.", rich_help_panel=_WHAT
        ),
    ] = False
    requests: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --throughput: runs in flight. Default: one for each thread.",
            rich_help_panel=_WHAT,
        ),
    ] = None
    profile: Annotated[
        bool,
        typer.Option(
            "--profile",
            help="Tell where the time goes, by kind, kernel and layer. A profile is no latency.",
            rich_help_panel=_WHAT,
        ),
    ] = False
    layers: Annotated[
        int,
        typer.Option(
            min=0,
            help="With --profile: so many of the slowest layers, by the first bundle's names.",
            rich_help_panel=_WHAT,
        ),
    ] = 10


@dataclass(frozen=True)
class Length:
    """How long it is measured."""

    launches: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processes to start; with --until the most of them. Default: 10, with --until 40.",
            rich_help_panel=_LENGTH,
        ),
    ] = None
    seconds: Annotated[
        float,
        typer.Option(min=0.05, help="Measuring time per bundle and launch.", rich_help_panel=_LENGTH),
    ] = 0.6
    until: Annotated[
        str | None,
        typer.Option(
            help="Go on until each ratio (of one bundle: its time) is known to ± this, such as 1%.",
            rich_help_panel=_LENGTH,
        ),
    ] = None
    timeout: Annotated[
        float | None,
        typer.Option(
            help="Seconds after which a launch is taken to hang. Default: 300, more for long ones.",
            rich_help_panel=_LENGTH,
        ),
    ] = None
    cool: Annotated[str | None, on_device.cool(_LENGTH)] = None
    cool_limit: Annotated[float | None, on_device.cool_limit(_LENGTH)] = None


@recording.stores()
@grouped
def command(
    bundles: Annotated[list[Path], typer.Argument(help="Bundles; measured in turn in the same processes.")],
    what: What,
    length: Length,
    baseline: Annotated[
        str, typer.Option(help="Ratios are held against this bundle: its name, or its place counted from 0.")
    ] = "0",
    device: on_device.Address = None,
    wait: on_device.Wait = 0.0,
    strict: options.Strict = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print JSON; a list of reports for several --threads.")
    ] = False,
) -> int:
    """Measure latency: p50, p90, p99, process CPU time, and its ratio to a baseline with a 95 % interval.

    Bundles of several images in a run are timed by the run and by the image; ratios are of an image.

    With --throughput: images a second with several runs in flight, which is no latency.

    With --profile: where the time goes, bundle beside bundle, and what share of the processor's INT8 peak is
    reached. A profile is taken in processes of its own; its times are no latencies.

    With --device the board measures, and every figure, its processor, clock and load are the board's.
    """
    from edgeeff.bundle import Bundle
    from edgeeff.harness.cooling import before_launches

    mode = _mode(what, length, device)
    inference_device.choose(what.device_name)
    given = None if what.threads is None else _counts(what.threads)
    measure, say = _ways(mode, what.layers)
    asked, loaded = _asked(mode, what, length, baseline), [Bundle.load(path) for path in bundles]
    if (phone := _phones.of(device)) is not None:
        idle = _of_ours(mode, what, length)
        return _phones.bench(
            loaded, phone, threads=given or [1], seconds=length.seconds, others=idle, json=json
        )
    cool = None if what.profile else on_device.cooling(device, length.cool, length.cool_limit)
    with on_device.opened(device, wait) as board, console.ConsoleProgress(still=True) as progress:
        recorder, placed = Recorder(progress), [bundle.on(board) for bundle in loaded]
        counts = given or [_processors(board) if what.throughput else 1]
        with before_launches(cool, recorder.tell):
            reports = [measure(placed, threads=n, progress=recorder, **asked) for n in counts]
    data, not_stored = recording.keep([report.to_json() for report in reports])
    if json:
        console.as_json(data[0] if len(data) == 1 else data)
    else:
        for number, report in enumerate(reports):
            if number:
                console.plain("")
            console.plain(timings.conditions(report))
            say(report)
    return 1 if strict and (not_stored or any(report.warnings for report in reports)) else 0


def _of_ours(mode: Mode, what: What, length: Length) -> list[str]:
    """The options that a runtime's own benchmark has nothing for."""
    given = {
        f"--{mode}": mode != "latency",
        "--tools": what.tools,
        "--images": what.images is not None,
        "--launches": length.launches is not None,
        "--until": length.until is not None,
        "--cool": length.cool is not None,
    }
    return [option for option, there in given.items() if there]


def _mode(what: What, length: Length, device: str | None) -> Mode:
    """What is measured.

    Raises:
        OptionError: Options of two kinds of measurement.
    """
    if what.throughput and what.profile:
        raise OptionError("--throughput with --profile", mend="measure one after the other")
    if what.profile and (length.cool is not None or length.cool_limit is not None):
        raise OptionError("--cool with --profile", mend="a profile is no latency: leave one of the two out")
    for option, given in (("--until", length.until is not None), ("--tools", what.tools)):
        if given and (what.profile or what.throughput):
            raise OptionError(
                f"{option} with {'--profile' if what.profile else '--throughput'}",
                mend=f"{option} is of latencies: leave one of the two out",
            )
    for option, given in (("--tools", what.tools), ("--profile", what.profile)):
        if given and device not in (None, "local"):
            raise OptionError(
                f"{option} with --device {device}",
                mend=f"{option} looks at this machine alone: leave one of the two out",
            )
    if what.requests is not None and not what.throughput:
        raise OptionError("--requests without --throughput", mend="add --throughput")
    return "throughput" if what.throughput else "profile" if what.profile else "latency"


def _asked(mode: Mode, what: What, length: Length, baseline: str) -> dict[str, Any]:
    """The options that the measurement takes, by its keywords."""
    asked: dict[str, Any] = {"seconds": length.seconds, "images": what.images, "timeout": length.timeout}
    if length.launches is not None:
        asked["launches"] = length.launches
    if mode != "profile":
        asked["baseline"] = int(baseline) if baseline.isdigit() else baseline
    if mode == "throughput":
        asked["requests"] = what.requests
    elif mode == "latency":
        asked["tools"] = what.tools
        asked["until"] = None if length.until is None else part(length.until)
    return asked


def _ways(mode: Mode, layers: int) -> tuple[Callable[..., Any], Callable[[Any], None]]:
    """The function that measures so, and the one that prints what it found."""
    if mode == "throughput":
        from edgeeff.harness.throughput import throughput

        return throughput, _throughput
    if mode == "profile":
        from edgeeff.harness.profile import profile

        return profile, lambda report: _profile(report, layers)
    from edgeeff.harness.latency import benchmark

    return benchmark, _latency


def _processors(board: Device | None) -> int:
    from edgeeff.harness import where

    return where.of(board).machine.usable_cores or 1


def _counts(text: str) -> list[int]:
    """Numbers of threads, such as 1,2,4.

    Raises:
        OptionError: One is none, or is named twice.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 0 < int(part) < 10_000 for part in parts) or len(set(parts)) < len(parts):
        raise OptionError(f"--threads {text!r:.40}", mend="give a number, or several as 1,2,4")
    return [int(part) for part in parts]


def part(text: str) -> float:
    """What ``1%`` means, 0.01; a part such as 0.01 means itself.

    Raises:
        OptionError: It is neither.
    """
    found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*(%?)", text.strip())
    value = float(found[1]) / (100 if found[2] else 1) if found else 0.0
    if not 0 < value < 1:
        raise OptionError(f"--until {text!r:.40} is no part of a ratio", mend="give a percentage such as 1%")
    return value


def _latency(report: LatencyReport) -> None:
    console.table(timings.latency_table(report))
    if (loading := timings.loading_table(report)) is not None:
        console.plain("")
        console.table(loading)
    if report.tools:
        console.plain("")
        console.table(timings.tools_table(report))
    for note in timings.notes(report):
        console.plain(note)


def _throughput(report: ThroughputReport) -> None:
    runs = f"{report.requests} run{'s' * (report.requests > 1)} in flight"
    several = len(report.entries) > 1
    ratio = f", and their ratio to {report.baseline}: over 1 is faster" if several else ""
    console.plain(f"{runs}; images a second{ratio}")
    console.table(timings.throughput_table(report))
    for entry in report.entries:
        if entry.not_run:
            console.plain(f"{entry.name}: {tables.NOT_RUN}: {entry.not_run}")


def _profile(report: ProfileReport, layers: int) -> None:
    console.plain(
        "A profile, no latency: the runtime reads the clock at each layer. A layer's time is the median over "
        "launches of its mean."
    )
    for runtime, layer in report.peaks.items():
        peak, by = report.peak(runtime), f"{layer.name}, {layer.kernel}_{layer.precision}"
        reached = (
            f"{peak:.0f} GMAC/s in the same run ({by})" if peak else f"{tables.NOT_RUN}: no INT8 kernel, {by}"
        )
        console.plain(f"INT8 peak here, {runtime}: {reached}")
    for made in tables.profile_tables(report, layers):
        console.plain("")
        console.table(made)

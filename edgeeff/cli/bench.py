"""edgeeff bench: latency of one or several bundles, interleaved, or a profile of their layers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeeff.cli import console, tables

if TYPE_CHECKING:
    from edgeeff.harness.machine import Machine


def command(
    bundles: Annotated[list[Path], typer.Argument(help="Bundles; measured in turn in the same processes.")],
    baseline: Annotated[
        str, typer.Option(help="Ratios are held against this bundle: its name, or its place counted from 0.")
    ] = "0",
    launches: Annotated[int, typer.Option(min=1, help="Processes to start.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.05, help="Measuring time per bundle and launch.")] = 2.0,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each runtime.")] = 1,
    images: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Images in a run of bundles of --batch dynamic; else the most that they take. A fixed batch "
            "is measured as it is.",
        ),
    ] = None,
    profile: Annotated[
        bool,
        typer.Option(
            "--profile", help="Tell where the time goes, by kind, kernel and layer. A profile is no latency."
        ),
    ] = False,
    layers: Annotated[
        int,
        typer.Option(
            min=0, help="With --profile: so many of the slowest layers, by the first bundle's names."
        ),
    ] = 10,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure latency: p50, p90, p99, process CPU time, and its ratio to a baseline with a 95 % interval.

    Bundles of several images in a run are timed by the run and by the image; ratios are of an image.

    With --profile: where the time goes, bundle beside bundle, and what share of the processor's INT8 peak is
    reached. A profile is taken in processes of its own; its times are no latencies.
    """
    _warn_of_plugins(bundles)
    if profile:
        _profile(bundles, launches, seconds, threads, images, layers, json)
        return
    from edgeeff.harness.latency import benchmark

    against = int(baseline) if baseline.isdigit() else baseline
    with console.ConsoleProgress(still=True) as progress:
        report = benchmark(
            list(bundles),
            launches=launches,
            seconds=seconds,
            threads=threads,
            baseline=against,
            images=images,
            progress=progress,
        )
    if json:
        console.as_json(report.to_json())
        return
    console.plain(_conditions(report.machine, threads, launches, seconds))
    console.table(tables.latency_table(report))


def _warn_of_plugins(bundles: list[Path]) -> None:
    """What bundles say of the plug-ins that they need, each sentence once."""
    from edgeeff.bundle import Bundle

    for warning in dict.fromkeys(text for path in bundles for text in Bundle.load(path).plugin_warnings()):
        console.warn(warning)


def _profile(
    bundles: list[Path],
    launches: int,
    seconds: float,
    threads: int,
    images: int | None,
    layers: int,
    json: bool,
) -> None:
    from edgeeff.harness.profile import profile

    with console.ConsoleProgress(still=True) as progress:
        report = profile(
            list(bundles),
            launches=launches,
            seconds=seconds,
            threads=threads,
            images=images,
            progress=progress,
        )
    if json:
        console.as_json(report.to_json())
        return
    console.plain(_conditions(report.machine, threads, launches, seconds))
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


def _conditions(here: Machine, threads: int, launches: int, seconds: float) -> str:
    return (
        f"{here.cpu}, {threads} thread{'s' if threads > 1 else ''}, governor {here.governor or 'unknown'}, "
        f"{launches} launches of {seconds:g} s a bundle"
    )

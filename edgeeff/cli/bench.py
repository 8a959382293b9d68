"""edgeeff bench: latency of one or several bundles, interleaved."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeeff.cli import console, tables


def command(
    bundles: Annotated[list[Path], typer.Argument(help="Bundles; measured in turn in the same processes.")],
    baseline: Annotated[
        str, typer.Option(help="Ratios are held against this bundle: its name, or its place counted from 0.")
    ] = "0",
    launches: Annotated[int, typer.Option(min=1, help="Processes to start.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.05, help="Measuring time per bundle and launch.")] = 2.0,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each runtime.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure latency: p50, p90, p99, process CPU time, and its ratio to a baseline with a 95 % interval."""
    from edgeeff.harness.latency import benchmark

    against = int(baseline) if baseline.isdigit() else baseline
    report = benchmark(list(bundles), launches=launches, seconds=seconds, threads=threads, baseline=against)
    if json:
        console.as_json(report.to_json())
        return
    here = report.machine
    console.plain(
        f"{here.cpu}, {threads} thread{'s' if threads > 1 else ''}, governor {here.governor or 'unknown'}, "
        f"{launches} launches of {seconds:g} s a bundle"
    )
    console.table(tables.latency_table(report))

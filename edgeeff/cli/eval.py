"""edgeeff eval: accuracy against labels, or against the float network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeeff.cli import console, options, tables


def command(
    bundles: Annotated[list[Path], typer.Argument(help="Bundles to judge.")],
    images: Annotated[Path, typer.Option("--images", "-i", help="Folder, list file, .npz or recipe .toml.")],
    reference: Annotated[Path | None, typer.Option(help="A float bundle to hold them against.")] = None,
    white: options.White = None,
    threshold: Annotated[
        float | None, typer.Option(help="Of a label's probability, instead of the bundle's; for multilabel.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each runtime.")] = 1,
    strict: Annotated[bool, typer.Option(help="Exit with status 1 if there was a warning.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Judge bundles: top-1, top-5 and F1 against labels, agreement and SQNR against a float bundle.

    A multilabel bundle: F1 of all labels together and averaged, and mean average precision.
    """
    from edgeeff.bundle import Bundle
    from edgeeff.harness.accuracy import evaluate

    opened = [Bundle.load(path) for path in bundles]
    reports = []
    with console.ConsoleProgress() as progress:
        for bundle in opened:
            progress.stage(f"judging {bundle.name}")
            report = evaluate(
                bundle,
                images,
                reference=reference,
                white=white,
                threshold=threshold,
                threads=threads,
                warn=lambda _: None,
            )
            reports.append(report)
    for note in dict.fromkeys(note for report in reports for note in report.notes):
        console.note(note)
    for warning in dict.fromkeys(text for report in reports for text in report.warnings):
        console.warn(warning)
    if json:
        console.as_json([report.to_json() for report in reports])
    else:
        console.table(tables.accuracy_table(reports))
    return 1 if strict and any(report.warnings for report in reports) else 0

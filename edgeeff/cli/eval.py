"""edgeeff eval: accuracy against labels, or against the float network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeeff.cli import console, options, recording, tables

if TYPE_CHECKING:
    from edgeeff.harness.accuracy import AccuracyReport


@recording.stores()
def command(
    bundles: Annotated[list[Path], typer.Argument(help="Bundles to judge.")],
    images: Annotated[Path, typer.Option("--images", "-i", help="Folder, list file, .npz or recipe .toml.")],
    reference: Annotated[Path | None, typer.Option(help="A float bundle to hold them against.")] = None,
    white: options.White = None,
    threshold: Annotated[
        float | None, typer.Option(help="Of a label's probability, instead of the bundle's; for multilabel.")
    ] = None,
    via: Annotated[
        str | None,
        typer.Option(help="onnxruntime: judge a TensorRT bundle's ONNX graph in it, not its engine."),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each runtime.")] = 1,
    strict: options.Strict = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Judge bundles: top-1, top-5 and F1 against labels, agreement and SQNR against a float bundle.

    A bundle whose runtime is not here is NOT RUN, and the others are judged; status 2 if none is.

    A multilabel bundle: F1 of all labels together and averaged, and mean average precision.
    """
    from edgeeff.bundle import Bundle
    from edgeeff.errors import MissingRuntimeError
    from edgeeff.harness.accuracy import evaluate, not_run

    opened = [Bundle.load(path) for path in bundles]
    reports, absent = [], []
    against = Bundle.load(reference) if reference else None
    if against is not None:
        against.session()  # one that is not here is an error of its own, and no bundle's
    with console.ConsoleProgress() as progress:
        for bundle in opened:
            try:
                report = evaluate(
                    bundle,
                    images,
                    reference=against,
                    white=white,
                    threshold=threshold,
                    threads=threads,
                    via=via,
                    progress=progress,
                    warn=lambda _: None,
                )
            except MissingRuntimeError as error:
                absent.append(error)
                report = not_run(bundle, error.what)
            reports.append(report)
    if len(absent) == len(reports):
        raise absent[0]
    warned = _say(reports, as_json=json)
    return 1 if strict and warned else 0


def _say(reports: Sequence[AccuracyReport], *, as_json: bool) -> bool:
    """Each note and warning once, and the figures, which are stored; whether there was a warning."""
    for note in dict.fromkeys(note for report in reports for note in report.notes):
        console.note(note)
    for warning in dict.fromkeys(text for report in reports for text in report.warnings):
        console.warn(warning)
    data, not_stored = recording.keep([report.to_json() for report in reports])
    if as_json:
        console.as_json(data)
    else:
        console.table(tables.accuracy_table(reports))
    return bool(not_stored) or any(report.warnings for report in reports)

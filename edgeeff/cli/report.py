"""edgeeff report: one HTML file of bundles and of what was measured of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeeff.cli import console, options
from edgeeff.errors import MissingFileError


def command(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Bundles, and what bench, eval, gate, diagnose, build or history plot printed with --json."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The HTML file.")] = Path("report.html"),
    photos: Annotated[
        Path | None,
        typer.Option(
            help="Show images that reports name and that lie below this folder. Default: no images."
        ),
    ] = None,
    history: Annotated[
        bool, typer.Option("--history", help="Show how figures of these bundles moved, from the history.")
    ] = False,
    database: Annotated[
        str | None,
        typer.Option(help="The history: a file or URL. Default: what EDGEEFF_HISTORY says."),
    ] = None,
    title: Annotated[str, typer.Option(help="Of the page. Default: the models' names.")] = "",
    strict: options.Strict = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Write one HTML file of bundles: accuracy, latency, layers, verdicts, warnings, environment.

    The file holds all that it shows: it loads nothing, and can be mailed or kept by a CI run. The same inputs
    give the same bytes.
    """
    from edgeeff import report
    from edgeeff.files import write_file
    from edgeeff.report import writing

    writing.refuse(output)
    if photos is not None and not photos.is_dir():
        raise MissingFileError(f"there is no folder {photos}", mend="name the folder that holds the images")
    page, material = report.of_paths(paths, title, photos, (database or "") if history or database else None)
    write_file(output, page.encode())
    for warning in material.warnings:
        console.warn(warning)
    if json:
        console.as_json(writing.summary(output, page, material))
    else:
        console.plain(f"{output}: {writing.words(material)}, {len(page.encode()) / 1e3:.0f} kB")
    return 1 if strict and material.warnings else 0

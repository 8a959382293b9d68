"""edgeeff finetune: a trained network is fitted to the user's own photos."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeeff.cli import _swapped, console, options
from edgeeff.training import request as asking

if TYPE_CHECKING:
    from edgeeff.training.building import Judged
    from edgeeff.training.finetune import Finetuned


@options.with_options(asking.options)
def command(
    said: dict[str, Any],
    photos: Annotated[
        Path,
        typer.Argument(
            help="Photos with labels: a folder with a subfolder for each class, or with train and val in "
            "it; a CSV of paths and classes; a data set's YAML. With --activation any photos."
        ),
    ],
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            help="Also write an HTML report: curves, scores and confusions.",
            rich_help_panel=options.RUN,
        ),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Exit status 1 where something was warned of.", rich_help_panel=options.RUN
        ),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel=options.RUN)] = False,
) -> int:
    """Fit a trained network to labelled photos: a checkpoint that `edgeeff build` takes as it is."""
    from edgeeff.training.finetune import finetune

    if report is not None:
        from edgeeff.report import writing  # what it needs is missed before the training, not after it

        writing.refuse(report)
    asked = asking.FinetuneRequest.of(photos=photos, **said)
    with console.ConsoleProgress() as progress:
        found = finetune(asked, progress=progress)
    if report is not None:
        _write(report, found)
    if json:
        console.as_json(found.to_json())
    else:
        console.plain(f"{found.checkpoint}  {_scores(found.scores)}")
        if "activation" in found.scores:
            console.table(_swapped.table(found.scores))
        for one in found.bundles:
            console.plain(f"{one.built.bundle.folder}  {_lost(one)}")
        if not found.bundles:
            _tell_of_build(found.checkpoint, photos, said.get("validation"))
    return 1 if strict and found.warnings else 0


def _tell_of_build(checkpoint: Path, photos: Path, validation: Path | None) -> None:
    """A command line that builds it, with the same photos."""
    from edgeeff.training.masks.opening import source_of
    from edgeeff.training.photos.opening import for_build

    calibration, judging = for_build(source_of(photos), validation)
    console.plain("next:")
    console.plain(f"  edgeeff build --checkpoint {shlex.quote(str(checkpoint))} --target cpu-int8 \\")
    more = " \\" if judging else ""
    console.plain(f"    --calibration {shlex.quote(str(calibration))}{more}")
    if judging:
        console.plain(f"    --validation {shlex.quote(str(judging))}")


def _write(path: Path, found: Finetuned) -> None:
    """The page of a training, and of its bundles."""
    from edgeeff import report
    from edgeeff.files import write_file

    page = report.of_training(found.to_json(), [one.built.bundle for one in found.bundles])
    write_file(path, page.encode())
    console.note(f"report   {path}")


def _lost(one: Judged) -> str:
    """What a bundle is worth beside the network."""
    if one.value is None or one.lost is None:
        return one.built.check
    return f"{_scores(one.scores)}, {one.lost:+.2f} points lost"


def _scores(scores: Any) -> str:
    top_1 = scores.get("top_1")
    if isinstance(top_1, dict):
        return f"top-1 {top_1['value']:.1%}, F1 {scores['f1']:.3f}"
    if "map_50" in scores and scores["map"] is not None:
        return f"mAP {scores['map']:.1%}, AP50 {scores['map_50']:.1%}"
    return ", ".join(f"{name} {value:.3f}" for name, value in scores.items() if isinstance(value, float))

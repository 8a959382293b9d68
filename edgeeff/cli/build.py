"""edgeeff build: from a checkpoint to verified bundles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeeff.cli import console, options, tables, values

if TYPE_CHECKING:
    from edgeeff.board import Board
    from edgeeff.pipeline.build import Built


def command(
    target: Annotated[
        list[str],
        typer.Option("--target", "-t", metavar="<str>", help="A target, or its TOML file; repeatable."),
    ],
    model: options.Model = None,
    checkpoint: options.Checkpoint = None,
    weights: options.Weights = None,
    calibration: options.Calibration = None,
    validation: options.Validation = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder; a bundle is its NAME-TARGET.")
    ] = Path("dist"),
    name: Annotated[str | None, typer.Option(help="Name of the bundles. Default: the model's.")] = None,
    size: options.Size = None,
    mean: options.Mean = None,
    std: options.Std = None,
    crop: options.Crop = None,
    interpolation: options.Interpolation = None,
    squash: options.Squash = None,
    exif: options.Exif = None,
    white: options.White = None,
    channels: options.Channels = None,
    padding: options.Padding = None,
    bn_epsilon: options.BnEpsilon = None,
    prefix: options.Prefix = None,
    head: options.Head = None,
    trust_checkpoint: options.TrustCheckpoint = False,
    labels: options.Labels = None,
    io: options.Io = None,
    task: options.Task = None,
    threshold: Annotated[
        float | None, typer.Option(help="Of a label's probability, for multilabel. Default: 0.5.")
    ] = None,
    softmax: Annotated[
        bool, typer.Option("--softmax", help="End in probabilities instead of logits, by softmax.")
    ] = False,
    probabilities: Annotated[
        bool,
        typer.Option(
            "--probabilities", help="The same by softmax, or by sigmoid where the task is multilabel."
        ),
    ] = False,
    count: options.Count = None,
    seed: options.Seed = None,
    effort: options.Effort = "balanced",
    ranges: options.Ranges = None,
    keep_float: options.KeepFloat = None,
    min_sqnr: Annotated[
        float | None, typer.Option(help="Keep the cheapest layers float that bring the logits to so many dB.")
    ] = None,
    max_drop: Annotated[
        str | None, typer.Option(help="Likewise, to lose at most so many points of top-1: 0.3pt.")
    ] = None,
    max_latency_cost: Annotated[
        str | None, typer.Option(help="The latency that float layers may add at most: 3%.")
    ] = None,
    plan: options.Plan = None,
    board: options.Board = None,
    cpu_class: options.CpuClass = "auto",
    tuning: Annotated[
        Path | None, typer.Option(help="Variants that --autotune found to be the fastest.")
    ] = None,
    autotune: Annotated[
        bool, typer.Option("--autotune", help="Time the targets' variants here, and take the fastest.")
    ] = False,
    golden: Annotated[
        int, typer.Option(callback=options.at_least(0), help="Golden inputs that a bundle carries.")
    ] = 8,
    force_calibration: options.ForceCalibration = False,
    strict: options.Strict = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Build a trained EfficientNet for one or several targets, from one calibration."""
    from edgeeff.pipeline.build import build

    named = _board(board, target) if board else None
    with console.ConsoleProgress() as progress:
        built = build(
            model,
            targets=target,
            checkpoint=checkpoint,
            weights=weights,
            calibration=calibration,
            validation=validation,
            output=output,
            name=name,
            size=values.size(size) if size else None,
            mean=values.channels(mean) if mean else None,
            std=values.channels(std) if std else None,
            crop=crop,
            interpolation=interpolation,
            squash=squash,
            exif=exif,
            white=white,
            channels=channels,
            padding=padding,
            bn_epsilon=bn_epsilon,
            prefix=prefix,
            head=head,
            trust_checkpoint=trust_checkpoint,
            labels=labels,
            io=io,
            task=task,
            threshold=threshold,
            softmax=softmax,
            probabilities=probabilities,
            count=count,
            seed=seed,
            effort=effort,
            ranges=ranges,
            plan=plan,
            cpu_class=cpu_class,
            tuning=tuning,
            autotune=autotune,
            golden=golden,
            keep_float=values.names(keep_float) if keep_float else (),
            min_sqnr=min_sqnr,
            max_drop=max_drop,
            max_latency_cost=max_latency_cost,
            force_calibration=force_calibration,
            progress=progress,
        )
    found = [_on_board(b, named) if named else {} for b in built]
    if json:
        console.as_json([tables.built_json(b) | f for b, f in zip(built, found, strict=True)])
    else:
        console.table(tables.built_table(built))
        if named:
            _show_board(named, built, found)
    return 1 if strict and any(b.warnings for b in built) else 0


def _board(name: str, targets: list[str]) -> Board:
    """The board, before anything is built: it is known, and every target suits it."""
    from edgeeff.backends.tensorrt.builds import builds
    from edgeeff.board import load_board, require_suited
    from edgeeff.target import load_target

    board = load_board(name)
    builds(board)
    for target in targets:
        require_suited(board, load_target(target))
    return board


def _on_board(built: Built, board: Board) -> dict[str, Any]:
    """What the board builds of a bundle, which its rules for just those versions hold."""
    from edgeeff.backends.tensorrt.builds import builds, hold

    manifest = built.bundle.manifest
    planned = builds(board, manifest.files) if _builds_on_board(manifest.runtime) else []
    held = hold(built.bundle.folder, board, planned)
    return {
        "board": {**board.to_json(), "builds": [b.to_json() for b in planned], "lint": held.to_json()},
    }


def _builds_on_board(runtime: str) -> bool:
    """Whether bundles of the runtime are TensorRT's graphs, of which the board builds its engine."""
    from edgeeff import backends

    found = backends.runtime(runtime)
    return found.tensorrt_rules and bool(found.on_device)


def _show_board(board: Board, built: Sequence[Built], found: Sequence[dict[str, Any]]) -> None:
    from edgeeff.backends.tensorrt.builds import builds

    console.plain("")
    console.plain(tables.board_head(board))
    shown = [b.bundle.manifest for b in built if _builds_on_board(b.bundle.manifest.runtime)]
    planned = builds(board, {file for manifest in shown for file in manifest.files})
    if planned:
        console.table(tables.board_table(board, planned))
    for b, f in zip(built, found, strict=True):
        held = f["board"]["lint"]
        if held["tensorrt"]:
            warned = ", ".join(f"{count} × {rule}" for rule, count in held["warnings"].items())
            rules = f"{b.bundle.name} keeps the rules of TensorRT {', '.join(held['tensorrt'])}"
            console.plain(f"{rules}; warnings: {warned or 'none'}")
        else:
            console.plain(f"{b.bundle.name}: an engine for {board.compute_capability} is compiled beforehand")
    console.plain(tables.board_notes(board))

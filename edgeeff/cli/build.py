"""edgeeff build: from a checkpoint to verified bundles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeeff import regular
from edgeeff.cli import console, options, recording, tables
from edgeeff.errors import OptionError
from edgeeff.pipeline.request import BuildRequest
from edgeeff.pipeline.request.declaring import declared
from edgeeff.pipeline.request.parts import Run

if TYPE_CHECKING:
    from edgeeff.board import Board
    from edgeeff.pipeline.built import Built
    from edgeeff.target import Target


@recording.stores(options.RUN)
@options.of_verb("build")
def command(
    said: dict[str, Any],
    config: options.Config = None,
    write_config: Annotated[
        bool,
        typer.Option(
            "--write-config",
            help="Build nothing; write what is said here to edgeeff.toml or --config, the rest as comments.",
            rich_help_panel=options.RUN,
        ),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel=options.RUN)] = False,
) -> int:
    """Build a trained EfficientNet for one or several targets, from one calibration."""
    from edgeeff.pipeline.build import build

    if write_config:
        return _write_config(said, config, json=json)
    said = options.with_config(said, config, "build")
    own = {one.name: said.pop(one.name, one.default) for one in declared(Run)}
    asked = BuildRequest.of(**said)
    if not asked.output.targets:
        raise OptionError(
            "no target was named",
            mend="pass --target, one of `edgeeff targets`; or keep in a file what is built here: "
            "`edgeeff build --write-config` writes edgeeff.toml",
        )
    named = _board(own["board"], asked.output.targets) if own["board"] else None
    if own["report"]:
        from edgeeff.report import writing  # what it needs is missed before the build, not after it

        writing.refuse(own["report"])
    with console.ConsoleProgress() as progress:
        built = build(asked, progress=progress)
    found = [_on_board(b, named) if named else {} for b in built]
    history, not_stored = _keep(built)
    timed = _report(built, own["report"]) if own["report"] else ()
    if json:
        parts = zip(built, found, history, strict=True)
        console.as_json([tables.built_json(b) | f | kept for b, f, kept in parts])
    else:
        console.table(tables.built_table(built))
        if named:
            _show_board(named, built, found)
    return 1 if own["strict"] and (not_stored or timed or any(b.warnings for b in built)) else 0


def _keep(built: Sequence[Built]) -> tuple[list[dict[str, Any]], list[str]]:
    """Store what was found out of each bundle; of each what became of that, and what was not stored."""
    reports = [b.bundle.verification()[0] or {} for b in built]
    kept, not_stored = recording.keep([report for report in reports if "record" in report])
    became = iter(kept)
    return [
        {k: v for k, v in next(became).items() if k == "history"} if "record" in report else {}
        for report in reports
    ], not_stored


def _report(built: Sequence[Built], path: Path) -> Sequence[str]:
    """Time the bundles and write the page; returns what to warn of their times."""
    from edgeeff import report
    from edgeeff.files import write_file

    with console.ConsoleProgress(still=True) as progress:
        page, warnings = report.of_build([b.bundle for b in built], progress)
    write_file(path, page.encode())
    console.note(f"report   {path}")
    return warnings


def _write_config(said: dict[str, Any], named: str | None, *, json: bool) -> int:
    from edgeeff.pipeline.request import config

    path = regular.path_of(config.FILE if named is None else named)
    config.write(path, said)
    if json:
        console.as_json({"config": str(path), "keys": [*said]})
    else:
        console.plain(f"{path}: {', '.join(said) or 'comments alone'}")
    return 0


def _board(name: str, targets: Sequence[str | Target]) -> Board:
    """The board, before anything is built: it is known, and every target suits it."""
    from edgeeff.backends.tensorrt.builds import builds
    from edgeeff.board import BOARDS, load_board, require_suited
    from edgeeff.target import load_target

    board = load_board(name)
    for trouble in BOARDS.refused([name]):
        console.warn(trouble.text)
    builds(board)
    for target in targets:
        require_suited(board, load_target(target) if isinstance(target, str) else target)
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

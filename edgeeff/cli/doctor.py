"""edgeeff doctor: what this machine can build and run."""

from __future__ import annotations

from dataclasses import asdict
from importlib.util import find_spec
from typing import Annotated, Any

import typer

from edgeeff.cli import console, options, tables
from edgeeff.errors import EdgeeffError


def command(
    board: options.Board = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what this machine can build and run, and the install line for what it cannot."""
    from edgeeff import backends
    from edgeeff.backends.tensorrt.builds import builds
    from edgeeff.board import load_board
    from edgeeff.cache import Cache
    from edgeeff.harness import machine
    from edgeeff.installing import install_line
    from edgeeff.pipeline import plugged
    from edgeeff.pipeline.resolve.installed import INSTALL_BUILD_WING, missing_for_build

    named = load_board(board) if board else None
    planned = builds(named) if named else []
    here = machine.describe()
    absent = missing_for_build()
    rows: list[Any] = [{"part": "build bundles", "missing": absent, "install": INSTALL_BUILD_WING}]
    for name in backends.runtime_names():
        runtime = backends.runtime(name)
        missing = runtime.missing_to_run()
        rows.append({"part": f"run {name}", "missing": missing, "install": runtime.install})
    for part, module, extra in (("read video", "av", "video"), ("score boxes", "hotcoco", "detection")):
        missing = [] if find_spec(module) else [module]
        rows.append({"part": part, "missing": missing, "install": install_line(extra)})
    rows.append(_history())
    added = plugged.everything(with_steps=not absent)
    cache = Cache.default()
    size = sum(entry[2] for entry in cache.entries())
    if json:
        found = {"machine": here.to_json(), "parts": rows, "cache_bytes": size}
        found["plugins"] = [{**asdict(plugin), "disabled": why} for plugin, why in added]
        if named:
            found["board"] = {**named.to_json(), "builds": [b.to_json() for b in planned]}
        console.as_json(found)
        return
    console.plain(
        f"{here.cpu or 'unknown CPU'}, class {here.cpu_class}, {here.usable_cores} cores, {here.system}"
    )
    console.plain(f"Python {here.python}; governor {here.governor or 'unknown'}; {', '.join(here.flags)}")
    made = tables.new("part", "here", "how to get it")
    for row in rows:
        here_or_not = f"no: {', '.join(row['missing'])}" if row["missing"] else "yes"
        made.add_row(row["part"], here_or_not, row["install"] if row["missing"] else "")
    console.table(made)
    console.plain(f"cache: {tables.megabytes(size)} (edgeeff cache ls)")
    console.plain(f"history: {rows[-1]['place'] or 'off'}")
    if any(why is None for _, why in added):
        console.plain("")
        console.table(tables.plugins(plugin for plugin, why in added if why is None))
    for plugin, why in added:
        if why is not None:
            console.warn(plugin.error(why).what)
    if named:
        console.plain("")
        console.plain(tables.board_head(named))
        console.table(tables.board_table(named, planned))
        console.plain(tables.board_notes(named))


def _history() -> dict[str, Any]:
    """Whether reports are stored, and where; a database that is named wrongly is said where one stores."""
    from edgeeff.history import place

    try:
        where = place.configured()
    except EdgeeffError as error:
        console.warn(error.what)
        where = None
    if where is None:
        return {"part": "store results", "missing": [], "install": "", "place": None}
    return {
        "part": "store results",
        "missing": list(where.missing),
        "install": where.install,
        "place": str(where),
    }

"""edgeeff cache: what is kept of earlier builds."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeeff.cli import console, tables
from edgeeff.errors import OptionError


def command(
    action: Annotated[str, typer.Argument(help="ls or clear.")] = "ls",
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List or clear the cache of stage results (EDGEEFF_CACHE_DIR, EDGEEFF_CACHE_LIMIT)."""
    from edgeeff.cache import Cache

    cache = Cache.default()
    if action == "clear":
        freed = cache.clear()
        if json:
            console.as_json({"freed_bytes": freed})
        else:
            console.plain(f"freed {tables.megabytes(freed)}")
        return
    if action != "ls":
        raise OptionError(f"edgeeff cache {action}", mend="say ls or clear")
    entries = cache.entries()
    if json:
        console.as_json([{"stage": stage, "key": key, "bytes": size} for stage, key, size in entries])
        return
    made = tables.new("stage", "key", ">size")
    for stage, key, size in entries:
        made.add_row(stage, key[:16], tables.megabytes(size))
    console.table(made)

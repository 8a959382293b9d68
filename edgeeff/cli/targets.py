"""edgeeff targets: what can be built for."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeeff.cli import console, tables
from edgeeff.errors import EdgeeffError


def command(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the targets: runtime, precision, input type, and whether this machine can build them."""
    from edgeeff import backends
    from edgeeff.pipeline.resolve.installed import INSTALL_BUILD_WING, missing_for_build
    from edgeeff.target import TARGETS, load_target, target_names

    found, broken = [], []
    for name in target_names():
        try:
            target = load_target(name)
            found.append((target, backends.runtime(target.runtime)))
        except EdgeeffError as error:
            if TARGETS.plugin(name) is None:
                raise
            broken.append((name, error.what))
    broken += [(trouble.plugin.name, trouble.text) for trouble in TARGETS.troubles()]
    if json:
        console.as_json(
            [
                {
                    "name": t.name,
                    "summary": t.summary,
                    "runtime": t.runtime,
                    "precision": t.precision,
                    "input": t.input,
                    "scheme": t.scheme.name if t.scheme else None,
                    "missing": [*missing_for_build(), *runtime.missing()],
                }
                for t, runtime in found
            ]
            + [{"name": name, "disabled": why} for name, why in broken]
        )
    else:
        made = tables.new("target", "precision", "runtime", "input", "can be built here", "what it is")
        for t, runtime in found:
            if missing_for_build():
                here = f"no: {INSTALL_BUILD_WING}"
            else:
                here = f"no: {runtime.install}" if runtime.missing() else "yes"
            made.add_row(t.name, t.precision, t.runtime, t.input, here, t.summary)
        console.table(made)
    for _, why in broken:
        console.warn(why)

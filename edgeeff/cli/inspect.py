"""edgeeff inspect: what is in a bundle."""

from __future__ import annotations

import json as json_library
from pathlib import Path
from typing import Annotated, Any

import typer

from edgeeff.batch import ONE
from edgeeff.cli import console, tables
from edgeeff.errors import MissingRuntimeError
from edgeeff.preprocess import CHANNELS


def command(
    bundle: Annotated[Path, typer.Argument(help="A bundle.")],
    layers: Annotated[bool, typer.Option(help="List the layers that the runtime executes.")] = False,
    ranges: Annotated[bool, typer.Option(help="List each tensor's scale, zero point and range.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Show a bundle: what it was made from, layers, precisions, scales, ranges, and what was verified."""
    from edgeeff import planned
    from edgeeff.bundle import Bundle

    loaded = Bundle.load(bundle)
    manifest = loaded.manifest
    altered = loaded.altered()
    plan = planned.read(loaded.folder)
    found, damaged = loaded.verification()
    warnings = [f"{name} does not have the manifest's SHA-256" for name in altered]
    warnings += [damaged] if damaged else []
    warnings += (found or {}).get("warnings", [])
    without = None
    try:
        usage = loaded.runtime.usage()
        without = usage.lost(manifest.runtime_properties) if usage else None
        check = None if altered else loaded.check()
        unchecked = "files were altered" if altered else ""
    except MissingRuntimeError as error:
        check, unchecked = None, error.what
    if json:
        console.as_json(
            {
                "manifest": json_library.loads(manifest.to_json()),
                "altered": altered,
                "without_properties": without,
                "plan": plan,
                "verification": found,
                "warnings": warnings,
                "check": None
                if check is None
                else {
                    "status": check.status,
                    "summary": check.summary,
                    "counts": dict(check.counts),
                    "fallbacks": list(check.fallbacks),
                    "layers": [vars(layer) for layer in check.layers],
                },
            }
        )
        return 1 if altered else 0
    _summary(loaded, found, without, check.summary if check else f"{tables.NOT_RUN}: {unchecked}")
    if ranges:
        made = tables.new("tensor", ">scale", ">zero point", "type", ">lowest", ">highest")
        for name, a in plan.get("activations", {}).items():
            first = -128 if a["type"] == "int8" else 0
            low, high = ((first + step - a["zero_point"]) * a["scale"] for step in (0, 255))
            made.add_row(
                name, f"{a['scale']:.6g}", str(a["zero_point"]), a["type"], f"{low:.4g}", f"{high:.4g}"
            )
        console.table(made)
    if layers and check is not None:
        made = tables.new("layer", "operator", "precision", "kernel")
        for layer in check.layers:
            made.add_row(layer.name, layer.operator, layer.precision, layer.kernel)
        console.table(made)
    for warning in warnings:
        console.warn(warning)
    return 1 if altered else 0


def _normalisation(preprocess: Any) -> str:
    if preprocess.is_unnormalised:
        return f"the input is pixels of 0…255, {CHANNELS[preprocess.channels]}, as they are"
    return f"{preprocess.mean}, {preprocess.std} on pixels 0…255, {CHANNELS[preprocess.channels]}"


def _classes(manifest: Any) -> str:
    return f"{manifest.classes} classes, " if manifest.meaning.decides else ""


def _outputs(manifest: Any) -> str:
    """What they are and mean."""
    meaning = manifest.meaning
    what = "probabilities" if meaning.probable else "logits"
    if not meaning.decides:
        return ", ".join(f"{o.name} {list(o.shape[1:])}" for o in manifest.outputs) + " (features)"
    if meaning.exclusive:
        return f"{what} of one class an image ({meaning.task})"
    absent = f", else {manifest.negative!r}" if manifest.negative else ""
    return f"{what} of labels, each there from {meaning.threshold:g} on{absent} ({meaning.task})"


def _size(bundle: Any) -> str:
    try:
        return tables.megabytes(tables.artifact_bytes(bundle))
    except MissingRuntimeError as error:
        return f"not known: {error.what}"


def _near(found: dict[str, Any]) -> str:
    """How near an artifact is to the float graph; of several outputs each one."""
    if found["agreement"]:
        return f"{tables.decibels(found['sqnr_db'])} and {tables.agreed(found)} agreement with float"
    each = found.get("outputs")
    levels = each.items() if isinstance(each, dict) else ()  # nothing seals a report
    shown = ", ".join(
        f"{name} {tables.decibels(one['sqnr_db'])}"
        for name, one in levels
        if isinstance(one, dict) and isinstance(one.get("sqnr_db"), (int, float, str))
    )
    return f"{shown or tables.decibels(found['sqnr_db'])} from float"


def _summary(bundle: Any, found: dict[str, Any] | None, without: str | None, check: str) -> None:
    manifest = bundle.manifest
    height, width = manifest.preprocess.size
    lines = [
        ("model", f"{manifest.model}, {_classes(manifest)}{height}×{width}"),
        ("origin", manifest.origin or "not said"),
        ("target", f"{manifest.target} ({manifest.runtime}, {manifest.precision}, {manifest.input} input)"),
        ("outputs", _outputs(manifest)),
        *([] if manifest.batch == ONE else [("batch", f"{manifest.batch} images in a run")]),
        ("size", _size(bundle)),
        ("mean, std", _normalisation(manifest.preprocess)),
        ("resize", f"{manifest.preprocess.interpolation}, centre crop {manifest.preprocess.crop:.3f}"),
        ("made with", ", ".join(f"{k} {v}" for k, v in manifest.tools.items())),
        *((what, by) for what, by in manifest.plugins.items()),
        ("check", check),
    ]
    if without is not None:
        properties = ", ".join(f"{k}={v}" for k, v in manifest.runtime_properties.items())
        lines.insert(-1, ("properties", f"{properties or 'none'}; {without.removesuffix('.')}"))
    artifact = (found or {}).get("artifact")
    if artifact:
        lines.append(("verified", f"{_near(artifact)} on {artifact['images']} held-out images"))
    else:
        lines.append(("verified", f"{tables.NOT_RUN}: {(found or {}).get('not_run', 'no verification')}"))
    hub = (found or {}).get("hub")
    if hub and not artifact:
        lines.append(("its graph", f"{_near(hub)} on {hub['images']} held-out images, in onnxruntime"))
    made = tables.new("", "")
    made.show_header = False
    for name, value in lines:
        made.add_row(name, value)
    console.table(made)

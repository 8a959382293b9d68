"""edgeeff inspect: what is in a bundle."""

from __future__ import annotations

import json as json_library
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from edgeeff.batch import ONE
from edgeeff.cli import console, tables
from edgeeff.errors import MissingRuntimeError, OptionError

if TYPE_CHECKING:
    from edgeeff.backends import CheckReport
    from edgeeff.bundle import Bundle


def command(
    bundle: Annotated[Path, typer.Argument(help="A bundle.")],
    layers: Annotated[bool, typer.Option(help="List the layers that the runtime executes.")] = False,
    ranges: Annotated[bool, typer.Option(help="List each tensor's scale, zero point and range.")] = False,
    c_header: Annotated[
        Path | None,
        typer.Option(help="Write a header for C and C++: sizes, preprocessing, outputs, labels, boxes."),
    ] = None,
    triton: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Put it into this folder of models, which Triton Inference Server starts."
        ),
    ] = None,
    triton_backend: Annotated[
        str | None, typer.Option(metavar="NAME", help="Triton's: tensorrt, openvino or onnxruntime.")
    ] = None,
    preprocess: Annotated[
        bool, typer.Option("--preprocess", help="Show each step from a photo to the input, with checksums.")
    ] = False,
    save: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="With --preprocess: the photo as PNG, each step as .npy."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Show a bundle: what it was made from, layers, precisions, scales, ranges, and what was verified."""
    from edgeeff.bundle import Bundle

    loaded = Bundle.load(bundle)
    if save is not None and not preprocess:
        raise OptionError("--save goes with --preprocess", mend="add it: --preprocess --save FOLDER")
    if c_header is not None:
        from edgeeff import c_header as header

        header.write(loaded, c_header)
    if triton is not None:
        return _served(loaded, triton, triton_backend, json)
    if triton_backend is not None:
        raise OptionError("--triton-backend goes with --triton", mend="name the folder: --triton models")
    if preprocess:
        return _prepared(loaded, save, json)
    return _shown(loaded, layers=layers, ranges=ranges, json=json)


def _shown(loaded: Bundle, *, layers: bool, ranges: bool, json: bool) -> int:
    """The bundle as a table, or as JSON."""
    from edgeeff import planned

    altered, plan = loaded.altered(), planned.read(loaded.folder)
    found, damaged = loaded.verification()
    warnings = [f"{name} does not have the manifest's SHA-256" for name in altered]
    warnings += [damaged] if damaged else []
    warnings += (found or {}).get("warnings", [])
    looked = _look(loaded, None if layers or json else found, altered=bool(altered))
    if json:
        console.as_json(
            {
                "manifest": json_library.loads(loaded.manifest.to_json()),
                "altered": altered,
                "without_properties": looked.without,
                "plan": plan,
                "verification": found,
                "warnings": warnings,
                "check": _check_json(looked.check),
            }
        )
        return 1 if altered else 0
    _summary(loaded, found, looked)
    if ranges:
        console.table(_ranges(plan))
    if layers and looked.check is not None:
        console.table(_layers(looked.check))
    for warning in warnings:
        console.warn(warning)
    return 1 if altered else 0


def _prepared(bundle: Bundle, folder: Path | None, json: bool) -> int:
    """The steps from a photo to the artifact's input."""
    from edgeeff import preparation

    found = preparation.stages(bundle)
    if folder is not None:
        preparation.save(found, folder)
    if json:
        console.as_json({"name": bundle.name, "stages": [stage.to_json() for stage in found]})
        return 0
    for number, stage in enumerate(found, 1):
        text = f"{number} {stage.name}: {stage.does}"
        console.plain("\n".join(wrap(text, 79, subsequent_indent="  ", break_on_hyphens=False)))
        values = stage.to_json()
        if stage.array is not None:
            shape = f"{values['type']} {values['shape']}"
            spread = f"{values['lowest']:g} to {values['highest']:g}, mean {values['mean']:.6g}"
            console.plain(f"  {shape}, {spread}\n  sha256 {values['sha256']}")
        elif stage.not_run:
            console.plain(f"  {tables.NOT_RUN}: {stage.not_run}")
    if folder is not None:
        console.plain(f"{folder}: the photo and each step, to hold your own against")
    return 0


def _served(bundle: Bundle, models: Path, backend: str | None, json: bool) -> int:
    """Put it into a folder of Triton's models."""
    from edgeeff import serving

    written = serving.triton(bundle, models, backend)
    if json:
        found = {"folder": str(written.folder), "backend": written.backend}
        console.as_json({"triton": found, "warnings": list(written.warnings)})
        return 0
    console.plain(f"{written.folder}: to be served by tritonserver --model-repository={models}")
    for warning in written.warnings:
        console.warn(warning)
    return 0


@dataclass(frozen=True)
class _Looked:
    """What the bundle's runtime says of it here.

    Args:
        check: None where it was not run.
        summary: What it found, in a line; or why it was not run.
        without: What the bundle loses without its runtime properties; None: nothing.
    """

    check: CheckReport | None
    summary: str
    without: str | None


def _look(bundle: Bundle, found: Mapping[str, Any] | None, *, altered: bool) -> _Looked:
    """Ask the runtime, if it did not say the same before.

    Args:
        bundle: The bundle.
        found: The build's report: what the runtime made of the same files on this machine is in it. None:
            more is asked for than it holds.
        altered: Whether the files are others than the build's.
    """
    without = None
    try:
        usage = bundle.runtime.usage()
        without = usage.lost(bundle.manifest.runtime_properties) if usage else None
        if altered:
            return _Looked(None, f"{tables.NOT_RUN}: files were altered", without)
        if found is not None and found.get("check") and _of_here(found):
            return _Looked(None, found["check"], without)
        check = bundle.check()
    except MissingRuntimeError as error:
        return _Looked(None, f"{tables.NOT_RUN}: {error.what}", without)
    return _Looked(check, check.summary, without)


def _of_here(found: Mapping[str, Any]) -> bool:
    """Whether a report was made by this machine as it is, with the versions that are installed."""
    from edgeeff.harness.record import environment, environment_digest

    said = found.get("record")
    made = said.get("environment_sha256") if isinstance(said, dict) else None
    return made is not None and made == environment_digest(environment())


def _check_json(check: CheckReport | None) -> dict[str, Any] | None:
    if check is None:
        return None
    return {
        "status": check.status,
        "summary": check.summary,
        "counts": dict(check.counts),
        "fallbacks": list(check.fallbacks),
        "layers": [vars(layer) for layer in check.layers],
    }


def _ranges(plan: Mapping[str, Any]) -> Table:
    """The scale, zero point and range of each tensor."""
    made = tables.new("tensor", ">scale", ">zero point", "type", ">lowest", ">highest")
    for name, a in plan.get("activations", {}).items():
        first = -128 if a["type"] == "int8" else 0
        low, high = ((first + step - a["zero_point"]) * a["scale"] for step in (0, 255))
        made.add_row(name, f"{a['scale']:.6g}", str(a["zero_point"]), a["type"], f"{low:.4g}", f"{high:.4g}")
    return made


def _layers(check: CheckReport) -> Table:
    """The layers that the runtime executes."""
    made = tables.new("layer", "operator", "precision", "kernel")
    for layer in check.layers:
        made.add_row(layer.name, layer.operator, layer.precision, layer.kernel)
    return made


def _normalisation(preprocess: Any) -> str:
    from edgeeff.preprocess import CHANNELS

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
    if meaning.detection is not None:
        return f"boxes of {manifest.classes} classes, shown from a score of {meaning.threshold:g} on"
    if meaning.by_pixel:
        (output,) = manifest.outputs
        return f"{output.name} {list(output.shape[1:])}: a class for each pixel ({meaning.task})"
    if meaning.exclusive:
        return f"{what} of one class an image ({meaning.task})"
    absent = f", else {manifest.negative!r}" if manifest.negative else ""
    return f"{what} of labels, each there from {meaning.threshold:g} on{absent} ({meaning.task})"


def _resize(preprocess: Any) -> str:
    if preprocess.letterbox is None:
        shape = "squashed, " if preprocess.squash else ""
        return f"{preprocess.interpolation}, {shape}centre crop {preprocess.crop:.3f}"
    colour = ", ".join(f"{value:g}" for value in preprocess.letterbox)
    return f"{preprocess.interpolation}, letterbox at the top left filled with ({colour})"


def _detector(manifest: Any) -> list[tuple[str, str]]:
    """A detector's anchors, and which boxes are kept by whom; none of another network."""
    found = manifest.detection
    if found is None:
        return []
    geometry, nms = found.geometry, found.nms
    shapes = ", ".join(f"{wide:g}:{high:g}" for wide, high in geometry.ratios)
    first, last = geometry.levels
    among = "of any class" if nms.across else "of its class"
    by = (
        f"{manifest.runtime} inside the artifact"
        if found.where == "runtime"
        else "edgeeff behind the artifact, which gives logits and codes of anchors"
    )
    return [
        (
            "anchors",
            f"{geometry.count} on levels {first} to {last}: sides from {geometry.scale:g} strides in "
            f"{geometry.octaves} sizes an octave, shapes {shapes}",
        ),
        (
            "boxes kept",
            f"at most {nms.max_boxes} with a score from {nms.score:g} on, none that overlaps a better one "
            f"{among} by an IoU over {nms.iou:g}",
        ),
        ("boxes by", by),
    ]


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


def _summary(bundle: Any, found: dict[str, Any] | None, looked: _Looked) -> None:
    from edgeeff.preprocess import described

    manifest, without = bundle.manifest, looked.without
    height, width = manifest.preprocess.size
    lines = [
        ("model", f"{manifest.model}, {_classes(manifest)}{height}×{width}"),
        ("origin", manifest.origin or "not said"),
        ("target", f"{manifest.target} ({manifest.runtime}, {manifest.precision}, {manifest.input} input)"),
        ("outputs", _outputs(manifest)),
        *([] if manifest.batch == ONE else [("batch", f"{manifest.batch} images in a run")]),
        ("size", _size(bundle)),
        ("mean, std", _normalisation(manifest.preprocess)),
        ("resize", _resize(manifest.preprocess)),
        *([] if manifest.preprocess.camera is None else [("takes", described(manifest.preprocess))]),
        *_detector(manifest),
        ("made with", ", ".join(f"{k} {v}" for k, v in manifest.tools.items())),
        *((what, by) for what, by in manifest.plugins.items()),
        ("check", looked.summary),
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

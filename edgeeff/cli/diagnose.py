"""edgeeff diagnose: which tensors and layers lose what, and what to do about it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from edgeeff.cli import console, options, tables, values
from edgeeff.errors import OutputError

if TYPE_CHECKING:
    from edgeeff.diagnosis.findings import Diagnosis, Finding


def command(
    target: Annotated[str, typer.Option("--target", "-t", help="An int8 target, or its TOML file.")],
    model: options.Model = None,
    checkpoint: options.Checkpoint = None,
    weights: options.Weights = None,
    calibration: options.Calibration = None,
    validation: options.Validation = None,
    size: options.Size = None,
    mean: options.Mean = None,
    std: options.Std = None,
    crop: options.Crop = None,
    interpolation: options.Interpolation = None,
    squash: options.Squash = None,
    exif: options.Exif = None,
    white: options.White = None,
    channels: options.Channels = None,
    padding: options.Padding = None,
    bn_epsilon: options.BnEpsilon = None,
    prefix: options.Prefix = None,
    head: options.Head = None,
    trust_checkpoint: options.TrustCheckpoint = False,
    task: options.Task = None,
    io: options.Io = None,
    count: options.Count = None,
    seed: options.Seed = None,
    effort: options.Effort = "balanced",
    ranges: options.Ranges = None,
    keep_float: options.KeepFloat = None,
    plan: options.Plan = None,
    cpu_class: options.CpuClass = "auto",
    force_calibration: options.ForceCalibration = False,
    images: Annotated[
        int, typer.Option(callback=options.at_least(1), help="Held-out images to look at.")
    ] = 32,
    kernels: Annotated[
        bool, typer.Option(help="Also build it, and show which kernels the runtime takes.")
    ] = False,
    top: Annotated[
        int, typer.Option(callback=options.at_least(1), help="Show so many tensors and layers, the worst.")
    ] = 15,
    everything: Annotated[bool, typer.Option("--all", help="Show all of them.")] = False,
    html: Annotated[Path | None, typer.Option(help="Also write a page with plots to this file.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Find which tensors and layers of the quantised network lose what, and what to do about it."""
    from edgeeff.files import refuse_unwritable, write_file

    if html is not None:
        if html.is_dir():
            raise OutputError(f"{html} is a folder", mend="name a file, such as diagnosis.html")
        refuse_unwritable(html.parent)

    from edgeeff.diagnosis import diagnose, page  # it brings torch

    with console.ConsoleProgress() as progress:
        found = diagnose(
            target,
            model=model,
            checkpoint=checkpoint,
            weights=weights,
            calibration=calibration,
            validation=validation,
            size=values.size(size) if size else None,
            mean=values.channels(mean) if mean else None,
            std=values.channels(std) if std else None,
            crop=crop,
            interpolation=interpolation,
            squash=squash,
            exif=exif,
            white=white,
            channels=channels,
            padding=padding,
            bn_epsilon=bn_epsilon,
            prefix=prefix,
            head=head,
            trust_checkpoint=trust_checkpoint,
            task=task,
            io=io,
            count=count,
            seed=seed,
            effort=effort,
            ranges=ranges,
            keep_float=values.names(keep_float) if keep_float else (),
            plan=plan,
            cpu_class=cpu_class,
            force_calibration=force_calibration,
            images=images,
            kernels=kernels,
            progress=progress,
        )
    if html is not None:
        write_file(html, page.write(found).encode())
    if json:
        console.as_json(found.to_json())
        return 0
    shown = found.worst(None if everything else top)
    console.plain(
        f"{found.model} for {found.target}, --effort {found.effort} ({'; '.join(found.notes)})\n"
        f"{tables.decibels(found.sqnr)} without the mean, {found.agreeing} of {found.images} held-out images"
        " classified as in float (simulated)\n"
    )
    console.table(_groups(found))
    console.plain("")
    console.table(_findings(shown, kernels))
    if len(shown) < len(found.findings):
        console.plain(f"… and {len(found.findings) - len(shown)} more (--all)")
    if kernels:
        console.plain(f"\nkernels: {found.kernels}")
    console.plain("\n" + "\n".join(f"→ {sentence}" for sentence in found.advice))
    return 0


def _groups(found: Diagnosis) -> Table:
    from edgeeff.diagnosis.findings import shown_share

    made = tables.new("part of the network", ">members", ">share of the error", ">alone")
    for group in found.groups:
        made.add_row(group.name, str(group.members), shown_share(group), f"{group.alone:.1%}")
    return made


def _findings(shown: list[Finding], kernels: bool) -> Table:
    from edgeeff.diagnosis.findings import shown_share

    asked = ["kernel"] if kernels else []
    made = tables.new(
        *("tensor or layer", "what", ">codes hold", ">seen", ">outside", ">share", ">alone"),
        *(*asked, "what to do"),
    )
    for f in shown:
        weights = f.kind == "weights"
        made.add_row(
            f.name,
            f"weights: {f.what}" if weights else f.what,
            _range(f.codes),
            _range(f.seen) if f.seen else "",
            "" if f.outside is None else f"{f.outside:.2%}",
            shown_share(f),
            f"{f.alone:.1%}",
            *([f.kernel or ("" if not weights else "not told")] if kernels else []),
            f.advice,
        )
    return made


def _range(ends: tuple[float, float]) -> str:
    return f"{ends[0]:.3g}…{ends[1]:.3g}"

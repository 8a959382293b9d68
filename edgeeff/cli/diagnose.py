"""edgeeff diagnose: which tensors and layers lose what, and what to do about it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from edgeeff.cli import console, on_device, options, tables
from edgeeff.errors import OptionError, OutputError

if TYPE_CHECKING:
    from edgeeff.diagnosis.findings import Diagnosis, Finding


@options.of_verb("diagnose")
def command(
    said: dict[str, Any],
    config: options.Config = None,
    images: Annotated[
        int | None,
        typer.Option(
            callback=options.at_least(1), help="Held-out images to look at. Default: 32, fewer of a detector."
        ),
    ] = None,
    kernels: Annotated[
        bool, typer.Option(help="Also build it, and show which kernels the runtime takes.")
    ] = False,
    top: Annotated[
        int, typer.Option(callback=options.at_least(1), help="Show so many tensors and layers, the worst.")
    ] = 15,
    everything: Annotated[bool, typer.Option("--all", help="Show all of them.")] = False,
    device: on_device.Address = None,
    wait: on_device.Wait = 0.0,
    html: Annotated[Path | None, typer.Option(help="Also write a page with plots to this file.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Find which tensors and layers of the quantised network lose what, and what to do about it.

    That is worked out here. With --device the artifact is also built, run on the board on golden inputs, and
    held against the float network.
    """
    from edgeeff.files import refuse_unwritable, write_file

    _refuse_kernels(device, kernels=kernels)
    if html is not None:
        if html.is_dir():
            raise OutputError(f"{html} is a folder", mend="name a file, such as diagnosis.html")
        refuse_unwritable(html.parent)

    said = options.with_config(said, config, "diagnose")
    targets = said.pop("targets", [])
    if len(targets) != 1:
        named = f"{len(targets)} targets are named" if targets else "no target was named"
        raise OptionError(named, mend="pass --target, an int8 one of `edgeeff targets`")

    from edgeeff.diagnosis import diagnose  # it brings torch

    if html is not None:
        from edgeeff import report  # what it needs is missed before the work, not after it
    with on_device.opened(device, wait) as board, console.ConsoleProgress() as progress:
        found = diagnose(targets[0], images=images, kernels=kernels, device=board, progress=progress, **said)
    if html is not None:
        write_file(html, report.of_diagnosis(found.to_json()).encode())
    if json:
        console.as_json(found.to_json())
        return 0
    _say(found, found.worst(None if everything else top), kernels=kernels)
    return 0


def _refuse_kernels(device: str | None, *, kernels: bool) -> None:
    if kernels and device not in (None, "local"):
        raise OptionError(
            f"--kernels with --device {device}",
            mend="kernels are asked of this machine's runtime alone: leave one of the two out",
        )


def _say(found: Diagnosis, shown: list[Finding], *, kernels: bool) -> None:
    console.plain(
        f"{found.model} for {found.target}, --effort {found.effort} ({'; '.join(found.notes)})\n"
        f"{tables.decibels(found.sqnr)} {found.judged} (simulated)\n"
        + (f"{found.board.line}\n" if found.board else "")
        + (f"{found.scope}\n" if found.scope else "")
    )
    console.table(_groups(found))
    console.plain("")
    console.table(_findings(shown, kernels))
    if len(shown) < len(found.findings):
        console.plain(f"… and {len(found.findings) - len(shown)} more (--all)")
    if kernels:
        console.plain(f"\nkernels: {found.kernels}")
    console.plain("\n" + "\n".join(f"→ {sentence}" for sentence in found.advice))


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

"""edgeeff devices: which boards can be reached, what they run, and what they lack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeeff.cli import console
from edgeeff.errors import DeviceError, OptionError

if TYPE_CHECKING:
    from edgeeff.devices.file import Named
    from edgeeff.devices.looking import Seen

_LONGEST = 3600.0


def command(
    devices: Annotated[
        list[str] | None,
        typer.Argument(help="Names of devices.toml, or addresses. Default: all that it names."),
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="Only devices with this tag; several: all of them.")
    ] = None,
    devices_file: Annotated[
        Path | None,
        typer.Option(help="The file of names. Default: devices.toml of this folder, else your own."),
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds that each device may take.")] = 20.0,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 1 if one cannot be reached, or cannot run bundles.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """List devices: which can be reached, what they are and run, what they lack and the line that brings it.

    They are looked at side by side. A place of a labgrid lab is not claimed for that.
    """
    from edgeeff.devices.looking import look

    if not 0 < timeout <= _LONGEST:
        raise OptionError(f"--timeout {timeout:g}", mend="give seconds, such as 20")
    named = _named(devices or [], tag or [], devices_file)
    seen = look(named, timeout)
    if json:
        console.as_json([one.to_json() for one in seen])
    else:
        for one in seen:
            for line in lines(one):
                console.plain(line)
        reached = sum(one.reachable for one in seen)
        console.plain(f"{reached} of {len(seen)} can be reached")
    return 1 if strict and not all(one.well for one in seen) else 0


def _named(devices: Sequence[str], tags: Sequence[str], devices_file: Path | None) -> list[Named]:
    """The devices of the command line, or all.

    Raises:
        DeviceError: One has no such name, no file names any, or none has the tags.
    """
    from edgeeff.devices import LOCAL, file, split

    if not devices:
        path = file.place(devices_file)
        if path is None:
            raise DeviceError(
                f"there is no {file.FILE} here, and none of your own",
                mend="name devices (edgeeff devices ssh://user@board), or write one (docs/devices.md)",
            )
        console.note(f"devices of {path}")
        found = list(file.read(path).values())
    else:
        found = []
        for device in devices:
            if device != LOCAL and ":" not in device:
                found.append(file.look_up(device, devices_file))
            else:
                if device != LOCAL:
                    split(device)
                found.append(file.Named(device, device, Path()))
    fitting = [one for one in found if set(tags) <= set(one.tags)]
    if not fitting:
        known = ", ".join(sorted({tag for one in found for tag in one.tags}))
        raise DeviceError(
            f"no device has the tags {', '.join(tags)}",
            mend=f"the tags are {known}" if known else "write tags = […] in devices.toml",
        )
    return fitting


def lines(seen: Seen) -> list[str]:
    """A device in a few lines."""
    where = "" if seen.name == seen.address else f"  {seen.address}"
    said = "can be reached" if seen.reachable else "CANNOT BE REACHED"
    found = [f"{seen.name}{where}  {said}" + (f" ({seen.seconds:.1f} s)" if seen.facts is not None else "")]
    notes = [seen.summary] if seen.summary else []
    notes += [f"tags {', '.join(seen.tags)}"] if seen.tags else []
    found += [f"  {'; '.join(notes)}"] if notes else []
    if seen.state:
        found.append(f"  {seen.state}")
    if seen.mend:
        found.append(f"  → {seen.mend}")
    if seen.facts is not None:
        found += [f"  {line}" for line in _facts(seen.facts)]
    for lack in seen.lacks:
        found += [f"  {'LACKS' if lack.needed else 'note'}: {lack.what}", f"    → {lack.mend}"]
    return [*found, ""]


def _facts(facts: Mapping[str, Any]) -> list[str]:
    from edgeeff.devices.looking import hottest, runtimes

    board, now = facts["machine"], facts["now"]
    cores = board.get("usable_cores") or board.get("cores")
    name = board.get("board") or board.get("cpu") or "unknown processor"
    first = [f"{name} ({board.get('architecture')}, class {board.get('cpu_class')}, {cores} cores)"]
    if now.get("l4t"):
        first.append(f"JetPack {_jetpack(now['l4t'])} (L4T {now['l4t']})")
    first.append(f"{board.get('system')}, Python {board.get('python')}")
    versions = [f"{runtime} {version}" for runtime, version in runtimes(facts).items()]
    numpy = (board.get("versions") or {}).get("numpy")
    versions += [f"numpy {numpy}"] if numpy else []
    state = [f"governor {board['governor']}"] if board.get("governor") else ["governor not known"]
    state += [f"power mode {now['power_mode']}"] if now.get("power_mode") else []
    hot = hottest(facts)
    state.append(f"{hot[1]:.0f} °C ({hot[0]})" if hot else "temperature not known")
    if now.get("disk_free_bytes") is not None:
        state.append(f"{now['disk_free_bytes'] / 1e9:.1f} GB free")
    state.append(f"clock {float(facts.get('clock_offset_s') or 0.0):+.2f} s")
    return [*first, f"runs {', '.join(versions) or 'no runtime'}", ", ".join(state)]


def _jetpack(l4t: str) -> str:
    """The release that a Jetson's L4T belongs to, as far as its first number says it."""
    return {"32": "4", "35": "5", "36": "6", "38": "7", "39": "7"}.get(l4t.partition(".")[0], "?")

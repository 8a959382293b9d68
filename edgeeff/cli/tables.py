"""How results look: one function for each kind of table, and the same as plain data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from rich.table import Table

if TYPE_CHECKING:
    from edgeeff.backends import LayerTime
    from edgeeff.backends.tensorrt.builds import Build
    from edgeeff.board import Board
    from edgeeff.bundle import Bundle
    from edgeeff.harness.profile import ProfileReport
    from edgeeff.harness.verify import Verification
    from edgeeff.history.finding import FoundResult
    from edgeeff.pipeline.built import Built
    from edgeeff.plugins import Plugin

NOT_RUN = "NOT RUN"

Key = TypeVar("Key")


def new(*columns: str, title: str | None = None) -> Table:
    """An empty table; columns that begin with > are set flush right."""
    made = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        right = column.startswith(">")
        made.add_column(column.lstrip(">"), justify="right" if right else "left", overflow="fold")
    return made


def plugins(added: Iterable[Plugin]) -> Table:
    """What other distributions add, a row for each kind of each."""
    made = new("plug-in", "adds", "")
    names: dict[tuple[str, str], list[str]] = {}
    for plugin in added:
        names.setdefault((plugin.origin, plugin.kind), []).append(plugin.name)
    for (origin, kind), each in sorted(names.items()):
        made.add_row(origin, kind, ", ".join(each))
    return made


def artifact_bytes(bundle: Bundle) -> int:
    """The size of the files that hold the network."""
    from edgeeff.harness import record

    return record.artifact_bytes(bundle)


def megabytes(size: int) -> str:
    """Such as ``5.4 MB``."""
    return f"{size / 1e6:.1f} MB"


def decibels(value: float | str | None) -> str:
    """Such as ``21.4 dB``."""
    return NOT_RUN if value is None else value if isinstance(value, str) else f"{value:.1f} dB"


def built_json(built: Built) -> dict[str, Any]:
    """One bundle of a build."""
    return {
        "bundle": str(built.bundle.folder),
        "name": built.bundle.name,
        "unchanged": built.unchanged,
        "size_bytes": artifact_bytes(built.bundle),
        "verification": built.verification.to_json() if built.verification else None,
        "hub": built.hub.to_json() if built.hub else None,
        "not_run": built.not_run,
        "check": built.check,
        "warnings": list(built.warnings),
        **({} if (frames := _frames(built.bundle)) is None else {"camera": frames}),
        **({} if built.training is None else {"training": dict(built.training)}),
        **({} if built.budget is None else {"budget": dict(built.budget)}),
    }


def _frames(bundle: Bundle) -> Mapping[str, Any] | None:
    """What an artifact's way from a camera's frames to pixels costs, as its build measured it."""
    found = bundle.verification()[0] if bundle.manifest.preprocess.camera is not None else None
    costs = (found or {}).get("camera")
    return costs if isinstance(costs, dict) else None


def built_table(built: Sequence[Built]) -> Table:
    """What a build made, and how near each artifact is to the float graph."""
    made = new("bundle", ">size", ">SQNR", ">agreement", ">images", "check")
    for b in built:
        made.add_row(
            f"{b.bundle.folder}{' (unchanged)' if b.unchanged else ''}",
            megabytes(artifact_bytes(b.bundle)),
            *(_fidelity(b.verification) if b.verification else (NOT_RUN, NOT_RUN, "")),
            b.check,
        )
        if b.verification is None and b.hub is not None:
            made.add_row("  its graph in onnxruntime", "", *_fidelity(b.hub), b.not_run or "")
        if (costs := _frames(b.bundle)) is not None:
            made.add_row("  its frames, before INT8", "", *_costs(costs))
    # At 80 columns the check gives way, not the name, unless that is a long path.
    made.columns[0].min_width = min(28, max((len(str(b.bundle.folder)) for b in built), default=0))
    return made


def _costs(found: Mapping[str, Any]) -> tuple[str, ...]:
    """SQNR, agreement and images of frames against the same in RGB, resized by Pillow, and the pixels."""
    try:  # nothing seals a report
        shown = (
            agreed(found),
            str(found["images"]),
            f"pixels differ by {found['pixels']['mean']:.2f} in the mean",
        )
        return (decibels(found["sqnr_db"]), *shown)
    except (KeyError, TypeError, ValueError):
        return (NOT_RUN,)


def _fidelity(found: Verification) -> tuple[str, str, str]:
    """SQNR, agreement (of a task that decides something) and images."""
    share = "" if found.agreement is None else f"{found.agreement.value:.1%}"
    return decibels(found.sqnr), share, str(found.images)


def agreed(found: Mapping[str, Any]) -> str:
    """Agreement of a verification's JSON; nothing where the task decides nothing."""
    share = found["agreement"]
    return f"{share['value']:.1%}" if share else "–"


def profile_tables(report: ProfileReport, slowest: int) -> list[Table]:
    """Where the time goes: in all, by kind, by kernel, and in the slowest layers, bundle beside bundle."""
    from edgeeff.harness.profile import kernel, sort

    several = any(entry.times and entry.times.images > 1 for entry in report.entries)
    columns = ("bundle", "precision", *([">images"] if several else []))
    whole = new(*columns, ">layers", ">inference", ">multiply-\nadds", ">GMAC/s", ">of INT8\npeak")
    for entry in report.entries:
        times, fraction = entry.times, report.peak_fraction(entry)
        if times is None:
            images = [""] if several else []
            whole.add_row(entry.name, entry.precision, *images, NOT_RUN, "", "", "", entry.not_run or "")
            continue
        whole.add_row(
            entry.name,
            entry.precision,
            *([str(times.images)] if several else []),
            f"{times.layers_us:.0f} µs",
            f"{times.inference_us:.0f} µs",
            f"{times.multiply_adds / 1e6:.0f} M",
            f"{times.gmacs_per_s:.0f}",
            f"{fraction:.1%}" if fraction else "",
        )
    if not any(entry.times for entry in report.entries):
        return [whole]
    return [
        whole,
        _shares_table(report, "by kind", ("kind", "precision"), sort),
        _shares_table(report, "by kernel", ("kernel", ""), kernel),
        *([_layers_table(report, slowest)] if slowest else []),
    ]


def _shares_table(
    report: ProfileReport,
    title: str,
    columns: tuple[str, str],
    key: Callable[[LayerTime], tuple[str, str]],
) -> Table:
    profiled = [(entry.name, entry.times.shares(key)) for entry in report.entries if entry.times]
    heads = [column for name, _ in profiled for column in (f">{name}", ">")]
    made = new(*columns, *heads, title=title)
    rows = [{sort: share.microseconds for sort, share in shares.items()} for _, shares in profiled]
    for sort in _slowest_first(rows):
        cells: list[str] = []
        for share in (shares.get(sort) for _, shares in profiled):
            told = f"{share.microseconds:.0f} µs in {share.layers}" if share else ""
            cells += [told, f"{share.fraction:.1%}" if share else ""]
        made.add_row(*sort, *cells)
    return made


def _layers_table(report: ProfileReport, slowest: int) -> Table:
    from edgeeff.harness.profile import side_by_side

    profiled = [(entry.name, entry.times) for entry in report.entries if entry.times]
    heads = [column for name, _ in profiled for column in (f">{name}", "by")]
    made = new("layer", *heads, title=f"the {slowest} slowest layers")
    layers = side_by_side([times for _, times in profiled])
    rows = [{name: layer.microseconds for name, layer in one.items()} for one in layers]
    for name in _slowest_first(rows)[:slowest]:
        cells: list[str] = []
        for layer in (one.get(name) for one in layers):
            told = (
                (f"{layer.microseconds:.0f} µs", f"{layer.kernel}_{layer.precision}") if layer else ("", "")
            )
            cells += told
        made.add_row(name, *cells)
    return made


def _slowest_first(times: Sequence[Mapping[Key, float]]) -> list[Key]:
    """The keys of all, by the longest time that any of them gives."""
    longest: dict[Key, float] = {}
    for one in times:
        for key, value in one.items():
            longest[key] = max(value, longest.get(key, 0.0))
    return sorted(longest, key=lambda key: -longest[key])


def board_head(board: Board) -> str:
    """What a board is, in two lines."""
    sizes = sorted(board.memory_gb)
    memory = " or ".join(map(str, sizes)) if len(sizes) < 3 else f"{sizes[0]} to {sizes[-1]}"
    precisions = " and ".join(p.upper() for p in board.precisions)
    return (
        f"board {board.name}: {board.summary}\n"
        f"compute capability {board.compute_capability}, {memory} GB, {precisions}; "
        f"targets {', '.join(board.targets)}"
    )


def board_table(board: Board, builds: Sequence[Build]) -> Table:
    """What each TensorRT of a board builds, and from which file."""
    precisions = list(dict.fromkeys(build.precision for build in builds))
    jetpack = any(software.jetpack for software in board.software)
    made = new(*(["JetPack"] if jetpack else []), "TensorRT", *(f"{p} engine from" for p in precisions))
    for software in board.software:
        files = {b.precision: b for b in builds if b.software == software}
        cells = [
            f"{b.file}\n{'strongly typed' if b.strongly_typed else ' '.join(b.flags)}" if b else ""
            for b in (files.get(p) for p in precisions)
        ]
        version = software.tensorrt if software.verified else f"{software.tensorrt} ?"
        made.add_row(*([software.jetpack] if jetpack else []), version, *cells)
    return made


def board_notes(board: Board) -> str:
    """What nobody must take for granted of a board."""
    doubtful: dict[str, list[str]] = {}
    for software in board.software:
        if not software.verified:
            jetpack = f" in JetPack {software.jetpack}" if software.jetpack else ""
            doubtful.setdefault(software.source, []).append(f"{software.tensorrt}{jetpack}")
    lines = [f"? not verified: {', '.join(what)}: {source}." for source, what in doubtful.items()]
    lines.append(f"DLA is not promised: {board.dla}.")
    lines.append(f"On this board: {NOT_RUN}, until a result of it is imported.")
    return "\n".join(lines)


def history_value(value: float | None, unit: str, metric: str = "") -> str:
    """A stored figure: four digits, shares as per cent, bytes as MB."""
    if value is None:
        return "not a number"
    if unit == "bytes":
        return megabytes(int(value))
    if not unit and 0 <= value <= 1 and "ratio" not in metric:
        return f"{value:.2%}"
    digits = f"{value:.0f}" if 1e4 <= abs(value) < 1e12 else f"{value:.4g}"
    return f"{digits}{f' {unit}' if unit else ''}"


def history_figure(result: FoundResult) -> str:
    """A stored figure with its name."""
    return f"{result.metric} {history_value(result.value, result.unit, result.metric)}"

"""edgeeff gate: whether a bundle may take the place of an older one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeeff.cli import console, options, recording, tables
from edgeeff.errors import OptionError

if TYPE_CHECKING:
    from edgeeff.gate.pair import Method
    from edgeeff.gate.verdict import GateReport, Verdict

_LATENCY, _IMAGES, _COSTS = "Latency", "With images", "Other costs"


def _limit(help: str, panel: str, *names: str) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=panel, metavar="LIMIT")


@recording.stores()
def command(
    new: Annotated[Path, typer.Argument(help="The bundle that may take the old one's place.")],
    against: Annotated[Path | None, typer.Option(help="The old bundle.")] = None,
    limit: Annotated[str, _limit("Slowdown that must not pass; off: not measured.", _LATENCY)] = "3%",
    launches: Annotated[
        int,
        typer.Option(help="The most of a series, even; a fail takes two series.", rich_help_panel=_LATENCY),
    ] = 16,
    seconds: Annotated[
        float, typer.Option(help="Measuring time per bundle and launch.", rich_help_panel=_LATENCY)
    ] = 0.6,
    clock: Annotated[
        str | None,
        typer.Option(
            help="cpu or wall. Default: cpu; wall where a GPU or several threads compute.",
            rich_help_panel=_LATENCY,
        ),
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads of each runtime.", rich_help_panel=_LATENCY)] = 1,
    timeout: Annotated[
        float | None,
        typer.Option(help="Seconds after which a launch is taken to hang.", rich_help_panel=_LATENCY),
    ] = None,
    noise_probe: Annotated[
        bool,
        typer.Option(
            "--noise-probe", help="Measure two equal bundles all the same.", rich_help_panel=_LATENCY
        ),
    ] = False,
    other_target: Annotated[
        bool, typer.Option("--other-target", help="Compare bundles of two targets.")
    ] = False,
    images: Annotated[
        Path | None,
        typer.Option(
            "--images", "-i", help="Folder, list file, .npz or recipe .toml.", rich_help_panel=_IMAGES
        ),
    ] = None,
    margin: Annotated[str, _limit("Loss of top-1, points, that must not pass; or off.", _IMAGES)] = "1 point",
    reference: Annotated[
        Path | None,
        typer.Option(help="Float bundle that both are held against.", rich_help_panel=_IMAGES),
    ] = None,
    max_sqnr_loss: Annotated[str, _limit("Of the centred SQNR to --reference; or off.", _IMAGES)] = "1 dB",
    max_disagreement: Annotated[
        str,
        _limit("Decisions that may be others than the reference's, or than the old bundle's.", _IMAGES),
    ] = "2 points",
    white: options.White = None,
    max_size: Annotated[str, _limit("How much larger, such as +5%.", _COSTS)] = "off",
    max_memory: Annotated[str, _limit("How much more memory, such as +10%.", _COSTS)] = "off",
    max_load_time: Annotated[str, _limit("How much longer loading may take, such as +50%.", _COSTS)] = "off",
    strict: options.Strict = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Decide whether a bundle is as fast and as good as an older one: pass, fail, or inconclusive.

    Both run in turn in fresh processes until the statistics can say; a fail must repeat. Exit status 0 pass,
    1 fail, 3 inconclusive (it says what would settle it), 2 not measured.
    """
    from edgeeff.gate import pair

    if new.suffix == ".toml" or against is None:
        raise OptionError(
            f"{new}: it is not said what the bundle is held against",
            mend="name the old bundle with --against",
        )
    limits = {
        "latency": _read("--limit", limit, "%"),
        "size": _read("--max-size", max_size, "%"),
        "memory": _read("--max-memory", max_memory, "%"),
        "load_time": _read("--max-load-time", max_load_time, "%"),
        "top_1": _read("--margin", margin, "points"),
        "sqnr_centred": _read("--max-sqnr-loss", max_sqnr_loss, "dB"),
        "agreement": _read("--max-disagreement", max_disagreement, "points"),
    }
    method = pair.Method(
        launches=launches,
        seconds=seconds,
        threads=threads,
        clock=clock,  # type: ignore[arg-type]
        timeout=timeout,
        noise_probe=noise_probe,
        other_target=other_target,
        white=white,
    )
    return _pair(new, against, limits, images, reference, method, strict=strict, json=json)


def _pair(
    new: Path,
    old: Path,
    limits: dict[str, float | None],
    images: Path | None,
    reference: Path | None,
    method: Method,
    *,
    strict: bool,
    json: bool,
) -> int:
    from edgeeff.gate.pair import decide

    with console.ConsoleProgress(still=True) as progress:
        report = decide(
            new, old, limits, images=images, reference=reference, method=method, progress=progress
        )
    (data,), not_stored = recording.keep([report.to_json()])
    if json:
        console.as_json(data)
    else:
        _say(report)
    return report.exit_status or int(strict and bool(report.warnings or not_stored))


def _read(option: str, said: str, unit: str) -> float | None:
    """A limit as it is written: ``3%``, ``+5 %``, ``0.5 points``, ``1dB``, ``off``.

    Raises:
        OptionError: It is written in another way, or in another unit.
    """
    if said == "off":
        return None
    found = re.fullmatch(r"\s*\+?(\d{1,6}(?:\.\d{1,9})?)\s*(%|points?|dB)?\s*", said, re.ASCII)
    # Of percentages a bare 0.03 may be meant as 3 %, or as 0.03 %.
    written = (found[2] or ("" if unit == "%" else unit)).removesuffix("s") if found else ""
    if found is None or written != unit.removesuffix("s"):
        example = {"%": "3%", "points": "0.5 points", "dB": "1dB"}[unit]
        raise OptionError(f"{option} {said!r:.40} is no limit in {unit}", mend=f"write {example}, or off")
    return float(found[1])


def _say(report: GateReport) -> None:
    """What was decided of each metric, and why."""
    made = tables.new("metric", "status", ">change", ">interval", ">limit", ">seconds")
    for verdict in report.verdicts:
        made.add_row(
            verdict.metric,
            _CALLED[verdict.status],
            "" if verdict.value is None else f"{verdict.value:+.2f} {verdict.unit}",
            _interval(verdict),
            "" if verdict.limit is None else f"{verdict.limit:g} {verdict.unit}",
            f"{verdict.seconds:.0f}" if verdict.seconds else "",
        )
    console.table(made)
    for verdict in report.verdicts:
        console.plain(f"{verdict.metric}: {verdict.why}")
    console.plain(f"{_CALLED[report.status]}")


_CALLED = {"pass": "pass", "fail": "FAIL", "inconclusive": "inconclusive", "error": "NOT MEASURED"}


def _interval(verdict: Verdict) -> str:
    ends = ["" if end is None else f"{end:+.2f}" for end in (verdict.low, verdict.high)]
    return "…".join(ends) if any(ends) else ""

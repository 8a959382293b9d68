"""edgeeff gate: whether a bundle may take the place of an older one."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeeff.cli import console, gating, on_device, options, recording
from edgeeff.cli.groups import grouped
from edgeeff.errors import OptionError

if TYPE_CHECKING:
    from edgeeff.gate.pair import Limits, Method
    from edgeeff.gate.publishing import Outputs
    from edgeeff.gate.verdict import GateReport

_LATENCY, _IMAGES, _COSTS = "Latency", "With images", "Other costs"
_SUITE, _CI = "Suites", "In CI"


def _limit(help: str, panel: str, *, default: str) -> Any:
    return typer.Option(help=help, rich_help_panel=panel, metavar="LIMIT", show_default=default)


@dataclass(frozen=True)
class Speed:
    """How latency is compared."""

    limit: Annotated[
        str | None, _limit("Slowdown that must not pass; off: not measured.", _LATENCY, default="3%")
    ] = None
    launches: Annotated[
        int,
        typer.Option(help="The most of a series, even; a fail takes two series.", rich_help_panel=_LATENCY),
    ] = 16
    seconds: Annotated[
        float, typer.Option(help="Measuring time per bundle and launch.", rich_help_panel=_LATENCY)
    ] = 0.6
    clock: Annotated[
        str | None,
        typer.Option(
            help="cpu or wall. Default: cpu; wall where a GPU or several threads compute.",
            rich_help_panel=_LATENCY,
        ),
    ] = None
    threads: Annotated[
        int | None,
        typer.Option(help="Threads of each runtime.", rich_help_panel=_LATENCY, show_default="1"),
    ] = None
    timeout: Annotated[
        float | None,
        typer.Option(help="Seconds after which a launch is taken to hang.", rich_help_panel=_LATENCY),
    ] = None
    cool: Annotated[str | None, on_device.cool(_LATENCY)] = None
    cool_limit: Annotated[float | None, on_device.cool_limit(_LATENCY)] = None
    noise_probe: Annotated[
        bool,
        typer.Option(
            "--noise-probe", help="Measure two equal bundles all the same.", rich_help_panel=_LATENCY
        ),
    ] = False


@dataclass(frozen=True)
class Judged:
    """What is compared on images."""

    images: Annotated[
        Path | None,
        typer.Option(
            "--images",
            "-i",
            help="Folder, list file, .npz, recipe .toml or data set .yaml; of boxes COCO's .json, a VOC "
            "folder or a YOLO .yaml.",
            rich_help_panel=_IMAGES,
        ),
    ] = None
    root: Annotated[
        Path | None,
        typer.Option(
            help="The folder of the photos that a file of boxes names. Default: where they usually are.",
            rich_help_panel=_IMAGES,
        ),
    ] = None
    margin: Annotated[
        str | None,
        _limit(
            "Loss of top-1, of a detector of mAP, points, that must not pass; or off.",
            _IMAGES,
            default="1 point",
        ),
    ] = None
    reference: Annotated[
        Path | None,
        typer.Option(help="Float bundle that both are held against.", rich_help_panel=_IMAGES),
    ] = None
    max_sqnr_loss: Annotated[
        str | None, _limit("Of the centred SQNR to --reference; or off.", _IMAGES, default="1 dB")
    ] = None
    max_disagreement: Annotated[
        str | None,
        _limit(
            "Decisions that may be others than the reference's, or than the old bundle's.",
            _IMAGES,
            default="2 points",
        ),
    ] = None


@dataclass(frozen=True)
class Costs:
    """What else a bundle costs."""

    max_size: Annotated[str | None, _limit("How much larger, such as +5%.", _COSTS, default="off")] = None
    max_memory: Annotated[
        str | None, _limit("How much more memory, such as +10%.", _COSTS, default="off")
    ] = None
    max_load_time: Annotated[
        str | None, _limit("How much longer loading may take, such as +50%.", _COSTS, default="off")
    ] = None


@dataclass(frozen=True)
class Said:
    """Where it is measured, and where the verdicts go."""

    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML.", rich_help_panel=_CI)] = None
    markdown: Annotated[
        Path | None, typer.Option(help="Write a table for a pull request.", rich_help_panel=_CI)
    ] = None
    gitlab: Annotated[
        Path | None, typer.Option(help="Write GitLab's code quality report.", rich_help_panel=_CI)
    ] = None
    github: Annotated[
        bool, typer.Option("--github", help="Print GitHub's annotations.", rich_help_panel=_CI)
    ] = False
    wait: Annotated[
        float,
        typer.Option(
            help="Seconds to wait for another measurement on this machine or board.", rich_help_panel=_CI
        ),
    ] = 0.0
    device: on_device.Address = None
    explain: Annotated[
        bool, typer.Option("--explain", help="Say in words what was measured and why the verdict follows.")
    ] = False


@recording.stores()
@grouped
def command(
    *,
    new: Annotated[
        Path, typer.Argument(help="The bundle that may take the old one's place, or a suite's .toml file.")
    ],
    against: Annotated[
        Path | None, typer.Option(help="The old bundle; of a suite a folder of old bundles.")
    ] = None,
    speed: Speed,
    judged: Judged,
    costs: Costs,
    ci: Said,
    other_target: Annotated[
        bool, typer.Option("--other-target", help="Compare bundles of two targets.")
    ] = False,
    white: options.White = None,
    update_baseline: Annotated[
        bool,
        typer.Option(
            "--update-baseline", help="Of a suite: measure it, write its baselines.", rich_help_panel=_SUITE
        ),
    ] = False,
    strict: options.Strict = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Decide whether bundles are as fast and as good as older ones: pass, fail, or inconclusive.

    Both run in turn in fresh processes until the statistics can say; a fail must repeat. Exit status 0 pass,
    1 fail, 3 inconclusive (it says what would settle it), 2 not measured.
    """
    from edgeeff.gate import pair
    from edgeeff.gate.suite import Instead

    said, method = _limits(speed, judged, costs), _method(speed, white, other_target=other_target)
    cool = on_device.cooling(ci.device, speed.cool, speed.cool_limit)
    told = gating.Told(_outputs(ci), ci.explain, ci.wait, strict, json, cool)
    if new.suffix == ".toml" and not new.is_dir():
        _refuse_with_suite({"--threads": speed.threads, "--reference": judged.reference})
        instead = Instead(against, judged.images, said, judged.root, ci.device)
        return gating.suite(new, instead, method, told, update=update_baseline)
    if update_baseline:
        raise OptionError("--update-baseline, and no suite", mend="name a suite's .toml file")
    if against is None:
        raise OptionError(
            f"{new}: it is not said what the bundle is held against",
            mend="name the old bundle with --against, or name a suite's .toml file",
        )
    _refuse_idle(judged, white)
    limits = {**pair.DEFAULTS, **said}
    measure = _deciding((new, against), limits, judged, method, ci.device, told)
    return gating.run(measure, new.resolve().name, new, told, here=ci.device is None)


def _deciding(
    paths: tuple[Path, Path],
    limits: Limits,
    judged: Judged,
    method: Method,
    device: str | None,
    told: gating.Told,
) -> Callable[[console.ConsoleProgress], GateReport]:
    """What decides about the new and the old bundle, on the board where one is named."""
    from edgeeff.bundle import Bundle
    from edgeeff.gate import pair

    def decide(progress: console.ConsoleProgress) -> GateReport:
        new, old = (Bundle.load(path) for path in paths)
        with (
            on_device.opened(device, told.wait if device else 0.0) as board,
            gating.alone(told, here=board is None and device is not None),
        ):
            return pair.decide(
                new.on(board),
                old.on(board),
                limits,
                images=judged.images,
                root=judged.root,
                reference=judged.reference,
                method=method,
                progress=progress,
            )

    return decide


def _outputs(ci: Said) -> Outputs:
    from edgeeff.gate.publishing import Outputs

    return Outputs(ci.junit, ci.markdown, ci.gitlab, ci.github)


def _method(speed: Speed, white: float | None, *, other_target: bool) -> Method:
    from edgeeff.gate import pair

    return pair.Method(
        launches=speed.launches,
        seconds=speed.seconds,
        threads=1 if speed.threads is None else speed.threads,
        clock=speed.clock,  # type: ignore[arg-type]
        timeout=speed.timeout,
        noise_probe=speed.noise_probe,
        other_target=other_target,
        white=white,
    )


def _limits(speed: Speed, judged: Judged, costs: Costs) -> dict[str, float | None]:
    """The limits that were said, by their metrics; None: off."""
    written = (
        ("latency", "--limit", speed.limit, "%"),
        ("size", "--max-size", costs.max_size, "%"),
        ("memory", "--max-memory", costs.max_memory, "%"),
        ("load_time", "--max-load-time", costs.max_load_time, "%"),
        ("top_1", "--margin", judged.margin, "points"),
        ("sqnr_centred", "--max-sqnr-loss", judged.max_sqnr_loss, "dB"),
        ("agreement", "--max-disagreement", judged.max_disagreement, "points"),
    )
    return {metric: _read(option, text, unit) for metric, option, text, unit in written if text is not None}


def _refuse_with_suite(options: dict[str, Any]) -> None:
    """Refuse what a suite says for itself.

    Raises:
        OptionError: One of the options was passed.
    """
    for option, value in options.items():
        if value is not None:
            raise OptionError(f"{option} with a suite", mend="say it in the suite, for all cases or for one")


def _refuse_idle(judged: Judged, white: float | None) -> None:
    """Refuse options that say nothing without another one, which is not there; ``off`` says nothing anyway.

    Raises:
        OptionError: There is one.
    """
    of_images: dict[str, object] = {
        "--margin": judged.margin,
        "--max-disagreement": judged.max_disagreement,
        "--root": judged.root,
        "--white": white,
    }
    of_reference: dict[str, object] = {"--max-sqnr-loss": judged.max_sqnr_loss}
    for given, without, value in (
        (of_images, "--images", judged.images),
        (of_reference, "--reference", judged.reference),
    ):
        idle = [name for name, said in given.items() if said not in (None, "off")]
        if value is None and idle:
            raise OptionError(f"{', '.join(idle)}, and no {without}", mend=f"name {without} too")


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

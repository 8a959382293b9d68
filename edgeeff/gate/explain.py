"""A gate's report in words: what was measured, how it was decided, what came out, what would change it."""

from __future__ import annotations

import math
import statistics
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edgeeff.gate.formats import words
from edgeeff.gate.sequential import Plan, looks
from edgeeff.gate.sequential import look as look_at
from edgeeff.gate.verdict import GateReport, Verdict

WIDTH = 80
_INDENT = "  "


def text(report: GateReport) -> str:
    """All verdicts, one after another, in lines of 80 columns at most."""
    parts = [_verdict(verdict) for verdict in report.verdicts]
    return "\n\n".join([*parts, _whole(report)])


def _whole(report: GateReport) -> str:
    """How the report's own status follows from those of its verdicts."""
    counts = {
        "fail": "failed: exit status 1",
        "error": "could not be measured, which says nothing of the bundle: exit status 2",
        "inconclusive": "could not be decided: exit status 3",
    }
    if report.status == "pass":
        return _lines("In all: every verdict is a pass: exit status 0.", "")
    if not report.verdicts:
        return _lines("In all: nothing was measured, which is no pass: exit status 2.", "")
    number = sum(verdict.status == report.status for verdict in report.verdicts)
    return _lines(f"In all: {number} of {len(report.verdicts)} {counts[report.status]}.", "")


def _verdict(verdict: Verdict) -> str:
    head = words.one_line(f"{verdict.place}: {verdict.metric}: {words.CALLED[verdict.status]}", 400)
    parts = [head]
    if verdict.status != "error" and (say := _SAYS.get(_kind(verdict))) is not None:
        parts += say(verdict)
    parts.append(_lines(f"Why: {words.summary(verdict)}."))
    if change := _change(verdict):
        parts.append(_lines(f"What would change it: {change}"))
    return "\n".join(parts)


def _lines(told: str, indent: str = _INDENT) -> str:
    wrapped = textwrap.wrap(told, WIDTH - len(indent), break_on_hyphens=False)
    return textwrap.indent("\n".join(wrapped), indent)


def _kind(verdict: Verdict) -> str:
    if verdict.metric == "latency":
        if verdict.measured.get("against") == "baseline":
            return "baseline"
        return "pair" if verdict.measured.get("log_ratios") else ""
    return verdict.metric if verdict.metric in ("size", "memory", "load_time") else "images"


def _pair(verdict: Verdict) -> list[str]:
    """A pair's latency: the launches, and every look at them."""
    data = verdict.measured
    clock = "CPU time" if data.get("clock") == "cpu" else "wall time"
    one = _lines(
        f"Measured: {clock} of an image, both bundles in turn in the same process, {data.get('launches')} "
        f"fresh processes, {data.get('seconds_per_launch')} s of each bundle in a process, the order of "
        "loading changed each time. The figure of a process is the median over its rounds of new / old."
    )
    limit = math.log1p((verdict.limit or 0) / 100)
    alpha, beta = float(data.get("alpha", 0)), float(data.get("beta", 0))
    how = _lines(
        f"Decided: after {', '.join(map(str, data.get('looks', [])))} processes it is looked at all of them. "
        f"Below the limit of {verdict.limit:g} % by its upper end it passes; above 0 by its lower end it "
        f"fails, if a second series says so too. All looks of a series together fail an equally fast bundle "
        f"with a chance of {alpha:g}, and pass one that is slower by the limit with {beta:g}."
    )
    parts = [one, how]
    second = float(data.get("repeat_alpha", Plan.repeat_alpha))
    for name, told, chance in (
        ("log_ratios", "first series", alpha),
        ("repeat_log_ratios", "second series", second),
    ):
        if series := data.get(name):
            parts += _series(series, told, data.get("looks", []), (chance, beta), limit)
    return parts


def _series(
    series: Sequence[float], told: str, planned: Sequence[int], chances: tuple[float, float], limit: float
) -> list[str]:
    """The looks at one series as a small table."""
    rows = [f"{_INDENT}{told:<14}{'change':>9}{'lower end':>12}{'upper end':>12}"]
    before, most = 0, max([*planned, 1])
    for count in planned or looks(len(series)):
        if not 2 <= count <= len(series):
            break
        share = (count - before) / most
        seen, before = look_at(series[:count], chances[0] * share, chances[1] * share), count
        ends = [f"{100 * math.expm1(value):+.2f} %" for value in (seen.mean, seen.low, seen.high)]
        says = "pass" if seen.high < limit else "slower" if seen.low > 0 else "go on"
        rows.append(f"{_INDENT}after {count:<8}{ends[0]:>9}{ends[1]:>12}{ends[2]:>12}  {says}")
    return rows


def _baseline(verdict: Verdict) -> list[str]:
    data = verdict.measured
    runs, spread = data.get("old_runs_ms", []), data.get("between_runs_percent")
    clock = "CPU time" if data.get("clock") == "cpu" else "wall time"
    known = f"{spread:.2f} %" if spread is not None else "not known"
    return [
        _lines(
            f"Measured: {clock} of an image of the new bundle alone, in {data.get('launches')} fresh "
            f"processes: {_typical(data.get('new_ms', []))} ms. Its baseline was measured on other days, in "
            f"{len(runs)} run{'s' * (len(runs) != 1)}: {_typical([t for run in runs for t in run])} ms."
        ),
        _lines(
            f"Decided: by Welch's t-test, with what whole runs of one bundle differ by added to the "
            f"variance: {known}. This is much weaker than both bundles measured at once."
        ),
    ]


def _typical(values: Sequence[float]) -> str:
    """The geometric mean: what the change is of."""
    return f"{statistics.geometric_mean(values):.3g}" if values and min(values) > 0 else "unknown"


def _cost(verdict: Verdict) -> list[str]:
    how = {
        "size": "Measured: the bytes of the files that hold the network. They do not vary.",
        "memory": "Measured: by how much the process's peak of resident memory rises while the bundle is "
        "loaded and runs once.",
        "load_time": "Measured: wall time until the artifact is ready, in fresh processes.",
    }
    return [_lines(how[verdict.metric])]


def _images(verdict: Verdict) -> list[str]:
    data: Mapping[str, Any] = verdict.measured
    images = data.get("images")
    count = f"{images} images" if isinstance(images, int) else "the images"
    if verdict.metric in ("sqnr_centred", "agreement"):
        return [
            _lines(f"Measured: the outputs of both bundles on {count}, which do not vary from run to run.")
        ]
    if verdict.measured and "lost" not in verdict.measured:
        return [
            _lines(
                f"Measured: the {verdict.metric} of both bundles on {count}. It passes where no more than "
                "the limit is lost, and fails where more is, unless chance explains it."
            )
        ]
    return [
        _lines(
            f"Measured: what both bundles decide about {count}. Only those count that one has right and the "
            "other wrong: it fails by McNemar's exact one-sided test, and passes where the upper bound of "
            "the loss lies below the limit."
        )
    ]


#: What is said of each kind of measurement.
_SAYS: dict[str, Callable[[Verdict], list[str]]] = {
    "pair": _pair,
    "baseline": _baseline,
    "size": _cost,
    "memory": _cost,
    "load_time": _cost,
    "images": _images,
}


def _change(verdict: Verdict) -> str:
    """What would make another verdict of it."""
    limit = words.limit(verdict)
    if verdict.status == "error":
        return "a machine and a bundle that can be measured; it is neither a pass nor a fail."
    if verdict.status == "inconclusive" and verdict.measured.get("against") == "baseline":
        return "the old bundle, if it is there and named: then both are measured at once."
    if verdict.status == "inconclusive":
        return "more measurements, a quieter machine, or a larger limit." if not verdict.settle else ""
    # Costs are within their limits by the figure itself, the others by the upper end of the interval.
    costs = verdict.metric in ("size", "memory", "load_time")
    end = verdict.value if costs or verdict.high is None else verdict.high
    if verdict.status == "fail":
        return f"a better bundle, or a limit above {words.figure(end, verdict.unit)}, if that is acceptable."
    if (costs or verdict.high is not None) and verdict.limit is not None and end is not None and end > 0:
        return f"a limit below {words.figure(end, verdict.unit)} instead of {limit}."
    return ""

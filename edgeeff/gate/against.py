"""Verdicts of a bundle against its baseline, where the bundle that the baseline was measured of is gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from edgeeff.errors import ReportError
from edgeeff.gate import absolute, accuracy, drawn
from edgeeff.gate.absolute import ALPHA, BETA, Comparison
from edgeeff.gate.alone import Alone
from edgeeff.gate.baseline import Baseline
from edgeeff.gate.limits import OF_IMAGES, UNITS
from edgeeff.gate.suite import Case
from edgeeff.gate.verdict import Settle, Status, Verdict

#: Runs of bundles of a series, by the bundles' digests: of each run the times of its launches.
Runs = Mapping[str, Sequence[Sequence[float]]]


def verdicts(case: Case, baseline: Baseline, alone: Alone, known: Runs) -> list[Verdict]:
    """A verdict for each metric with a limit that the bundle has.

    Args:
        case: The new bundle and its limits.
        baseline: What it is held against.
        alone: The new bundle, measured.
        known: Runs of this series beside those that the baseline holds: they tell what days differ by.

    Raises:
        ReportError: The two were measured in different ways.
    """
    _refuse_other_ways(case, baseline, alone)
    found = []
    for metric, limit in case.limits.items():
        if metric == "latency":
            found.append(_latency(case, limit, baseline, alone, known))
        elif metric in ("size", "memory", "load_time"):
            found.append(_cost(case, metric, limit, baseline, alone))
        elif metric == "top_1" and drawn.held_by(alone.baseline.metrics, baseline.metrics):
            found.append(_drawn(case, limit, baseline, alone))
        elif metric == "top_1" and _scored(baseline, alone):
            found.append(_accuracy(case, limit, baseline, alone))
        elif metric in ("sqnr_centred", "agreement") and case.reference is not None:
            found.append(_fidelity(case, metric, limit, baseline, alone))
    return found


def equal(case: Case) -> list[Verdict]:
    """Of the very bundle of the baseline nothing needs to be measured."""
    why = "the bundle is that of its baseline (equal digests): nothing was measured"
    return [
        Verdict(case.name, metric, "pass", 0.0, UNITS[metric], limit=limit, why=why)
        for metric, limit in case.limits.items()
        if metric not in OF_IMAGES or (case.images if metric == "top_1" else case.reference) is not None
    ]


def _scored(baseline: Baseline, alone: Alone) -> bool:
    """Whether labels said anything of one of the two; of neither it was warned of."""
    both = (baseline.correct, alone.baseline.correct)
    return any(one is not None and len(one.right) for one in both)


def _refuse_other_ways(case: Case, baseline: Baseline, alone: Alone) -> None:
    new = alone.baseline
    for name, theirs, ours in (
        ("threads", baseline.threads, new.threads),
        ("clock", baseline.clock, new.clock),
    ):
        if theirs != ours:
            raise ReportError(
                f"{baseline.path}: {case.name} was measured with {name} {theirs}, now with {ours}",
                mend="measure it as before, or write a baseline anew with --update-baseline",
            )


def _error(case: Case, metric: str, limit: float, unit: str, why: str) -> Verdict:
    return Verdict(case.name, metric, "error", unit=unit, limit=limit, why=why)


def _latency(case: Case, limit: float, baseline: Baseline, alone: Alone, known: Runs) -> Verdict:
    new = alone.baseline.runs[-1].launches_ms
    old = baseline.own_runs
    if not old:
        why = f"{baseline.path} holds no times; measure them with --update-baseline"
        return _error(case, "latency", limit, "%", why)
    runs: dict[str, list[Sequence[float]]] = {}
    for run in baseline.runs:
        runs.setdefault(run.bundle, []).append(run.launches_ms)
    for (
        digest,
        those,
    ) in known.items():  # none of these is in the baseline: --update-baseline stores no report
        runs.setdefault(digest, []).extend(those)
    spread = absolute.between_runs(runs)
    found = absolute.compare(new, old, spread, limit)
    measured = {
        "against": "baseline",
        "clock": baseline.clock,
        "threads": baseline.threads,
        "launches": len(new),
        "new_ms": list(new),
        "old_runs_ms": [list(run) for run in old],
        "between_runs_percent": found.between,
        "between_runs_degrees": spread[1],
        "alpha": ALPHA,
        "beta": BETA,
    }
    why, settle = _latency_words(found, len(old), limit)
    numbers = (found.change, "%", found.low, found.high, limit)
    verdict = Verdict(case.name, "latency", found.status, *numbers, why=why, settle=settle)
    return replace(verdict, seconds=alone.seconds, measured=measured)


def _latency_words(found: Comparison, runs: int, limit: float) -> tuple[str, Settle | None]:
    """Why the status follows, and what would settle an inconclusive."""
    if found.runs_missing:
        more = f"{found.runs_missing} more run{'s' * (found.runs_missing > 1)}"
        return (
            f"what runs of one bundle differ by from day to day is not known: {more} of the baseline's "
            f"bundle {'are' if found.runs_missing > 1 else 'is'} missing (--update-baseline adds one); "
            "or keep the old bundle and name it",
            None,
        )
    said = f"{found.change:+.1f} % against {runs} run{'s' * (runs > 1)} of the baseline"
    days = f"runs of one bundle differ by {found.between:.1f} %"
    if found.status == "pass":
        return f"{said}; {days}, and a slowdown of {limit:g} % is excluded: {found.high:+.1f} % at most", None
    if found.status == "fail":
        return f"{said}; {days}, and it is slower by {found.low:+.1f} % at least", None
    return (
        f"{said}; {days}, so neither equal speed nor a slowdown of {limit:g} % is excluded "
        f"({found.low:+.1f} to {found.high:+.1f} %): keep the old bundle and name it to be sure",
        None,
    )


def _cost(case: Case, metric: str, limit: float, baseline: Baseline, alone: Alone) -> Verdict:
    """Size by its limit; memory and loading fail only where every launch lies above the limit."""
    new, old = alone.baseline.metrics.get(metric), baseline.metrics.get(metric)
    if new is None:
        return _error(case, metric, limit, "%", f"this machine does not say the {metric.replace('_', ' ')}")
    if old is None or old[0] <= 0 or old[1] != new[1]:
        why = f"{baseline.path} holds no {metric} in {new[1]}; measure it with --update-baseline"
        return _error(case, metric, limit, "%", why)
    change = 100.0 * (new[0] - old[0]) / old[0]
    lowest = change
    if metric == "memory":
        peaks = [one.runs[0].peak_memory_mb for one in alone.launches]
        lowest = 100.0 * (min(p for p in peaks if p is not None) - old[0]) / old[0]
    elif metric == "load_time":
        lowest = 100.0 * (min(one.runs[0].load_ms for one in alone.launches) - old[0]) / old[0]
    status: Status = "pass" if change <= limit else "fail" if lowest > limit else "inconclusive"
    says = {"pass": "within", "fail": "above", "inconclusive": "above, but not of every launch,"}[status]
    why = f"{_shown(*new)}, and {_shown(*old)}: {change:+.1f} %, {says} {limit:g} %"
    measured = {"against": "baseline", f"new_{new[1].lower()}": new[0], f"old_{new[1].lower()}": old[0]}
    return Verdict(case.name, metric, status, change, "%", limit=limit, why=why, measured=measured)


def _accuracy(case: Case, limit: float, baseline: Baseline, alone: Alone) -> Verdict:
    """McNemar's test of the images, one by one, which the baseline remembers."""
    new, old = alone.baseline.correct, baseline.correct
    if new is None or not len(new.right):
        why = "no image bears a label, or the task decides no class; its baseline had both"
        return _error(case, "top_1", limit, "points", why)
    if old is None or old.set != new.set or len(old.right) != len(new.right):
        why = f"{baseline.path} was measured on other images or labels; write it anew with --update-baseline"
        return _error(case, "top_1", limit, "points", why)
    lost = int(np.sum(old.right & ~new.right))
    won = int(np.sum(new.right & ~old.right))
    verdict = accuracy.counted(case.name, "top_1", lost, won, len(new.right), limit)
    return replace(verdict, measured={"against": "baseline", **verdict.measured})


def _drawn(case: Case, limit: float, baseline: Baseline, alone: Alone) -> Verdict:
    """Mean average precision or mean IoU, which the baseline remembers with its standard error."""
    metric = drawn.held_by(alone.baseline.metrics, baseline.metrics)
    assert metric is not None
    new, old = (
        tuple(one.metrics[name][0] for name in (metric, drawn.error_of(metric)) if name in one.metrics)
        for one in (alone.baseline, baseline)
    )
    if len(new) < 2:
        return _error(
            case, metric, limit, "points", "nothing is known of any image; of its baseline's it was"
        )
    before, now = baseline.correct, alone.baseline.correct
    if len(old) < 2 or before is None or now is None or before.set != now.set:
        why = f"{baseline.path} was measured on other images or truths; write it anew with --update-baseline"
        return _error(case, metric, limit, "points", why)
    return drawn.remembered(case.name, metric, (new[0], new[1]), (old[0], old[1]), limit)


def _fidelity(case: Case, metric: str, limit: float, baseline: Baseline, alone: Alone) -> Verdict:
    """How near to the float bundle, on the same images: the same bundle gives the same figure each time."""
    unit = "dB" if metric == "sqnr_centred" else "points"
    new, old = alone.baseline.metrics.get(metric), baseline.metrics.get(metric)
    if new is None:
        return _error(case, metric, limit, unit, f"the images give no {metric.replace('_', ' ')}")
    before, now = baseline.correct, alone.baseline.correct
    if old is None or before is None or now is None or before.set != now.set:
        why = f"{baseline.path} was measured on other images; write it anew with --update-baseline"
        return _error(case, metric, limit, unit, why)
    loss = old[0] - new[0]
    status: Status = "pass" if loss <= limit else "fail"
    says = "within" if status == "pass" else "above"
    why = f"{_shown(*new)}, and {_shown(*old)}: {loss:+.2f} {unit} lost, {says} {limit:g} {unit}"
    measured = {"against": "baseline", "new": new[0], "old": old[0]}
    return Verdict(case.name, metric, status, loss, unit, limit=limit, why=why, measured=measured)


def _shown(value: float, unit: str) -> str:
    """Such as ``5.21 MB``."""
    return f"{value / 1e6:.2f} MB" if unit == "bytes" else f"{value:.4g} {unit}"

"""``edgeeff bench``: times of each bundle that ran, and their ratio to the baseline."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edgeeff.history.figures import Figure, Said, number, numbers, warned

_PERCENTILES = ("mean", "p90", "p99", "p99_9")
#: What it costs to make a bundle ready, and the units.
_LOADING = {"load_ms": "ms", "first_ms": "ms", "peak_memory_mb": "MB"}


def said(data: Mapping[str, Any], bundles: Sequence[str]) -> Said:
    """What is kept of a report."""
    del bundles
    how = f"threads={int(data['threads'])}"
    figures = [figure for entry in data["entries"] for figure in _entry(entry, how, str(data["baseline"]))]
    missing = tuple(str(entry["name"]) for entry in data["entries"] if entry["timing"] is None)
    status = "ok" if len(missing) < len(data["entries"]) else "NOT RUN"
    facts = {name: data.get(name) for name in ("baseline", "launches", "seconds", "threads", "clock", "seed")}
    return Said(tuple(figures), status=status, facts=facts, warned=warned(data), not_run=missing)


def _entry(entry: Mapping[str, Any], how: str, baseline: str) -> Iterator[Figure]:
    timing, name = entry["timing"], str(entry["name"])
    if timing is None:
        return
    how = f"{how} images={int(timing.get('images', 1))}"
    yield from _clocks(name, timing, how)
    n = int(timing["inferences"])
    for percentile in _PERCENTILES:
        value = number(timing["wall_ms"].get(percentile))
        if value is not None:
            yield Figure(name, f"wall_{percentile}_ms", value, "ms", n=n, conditions=how)
    loading = timing.get("loading") or {}
    for metric, unit in _LOADING.items():
        value = number(loading.get(metric))
        if value is not None:
            yield Figure(name, metric, value, unit, n=int(loading["launches"]), conditions=how)
    energy = timing.get("energy_mj") or {}
    drawn = number(energy.get("value"))
    if drawn is not None:
        low, high = (number(end) for end in energy["interval"] or (None, None))
        metered = f"{how} meter={timing['energy_meter']}"[:300]
        yield Figure(name, "energy_mj", drawn, "mJ", low, high, conditions=metered)
    against = f"{how} against={baseline}"[:300]
    for metric in ("cpu_ratio", "wall_ratio"):
        ratio = entry.get(metric)
        if ratio is not None and name != baseline:
            low, high = (number(end) for end in ratio["interval"] or (None, None))
            value = number(ratio["value"])
            launches = len(timing["cpu_launches_ms"])
            yield Figure(
                name,
                metric,
                math.nan if value is None else value,
                "",
                low,
                high,
                launches,
                conditions=against,
            )


def _clocks(name: str, timing: Mapping[str, Any], how: str) -> Iterator[Figure]:
    """CPU time and median time of an inference; the interval is of the mean over launches."""
    for metric, clock, value in (
        ("cpu_ms", "cpu", timing["cpu_ms"]),
        ("wall_p50_ms", "wall", timing["wall_ms"]["p50"]),
    ):
        figure, samples = number(value), numbers(timing[f"{clock}_launches_ms"])
        over = timing.get(f"{clock}_over_launches_ms") or {}
        low, high = (number(end) for end in over.get("interval") or (None, None))
        if figure is not None:
            yield Figure(name, metric, figure, "ms", low, high, len(samples), samples, how)

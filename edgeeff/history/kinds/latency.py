"""``edgeeff bench``: times of each bundle that ran, and their ratio to the baseline."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edgeeff.history.reports import Figure, Said, number, numbers, warned

_PERCENTILES = ("mean", "p50", "p90", "p99", "p99.9")
#: Figures that a bundle has one of, and their units.
_OTHERS = {"load_ms": "ms", "first_ms": "ms", "peak_memory_mb": "MB", "energy_mj": "mJ", "throughput": "1/s"}


def said(data: Mapping[str, Any], bundles: Sequence[str]) -> Said:
    """What is kept of a report."""
    del bundles
    how = f"threads={int(data['threads'])}"
    figures = [figure for entry in data["entries"] for figure in _entry(entry, how, str(data["baseline"]))]
    ran = any(entry["timing"] is not None for entry in data["entries"])
    facts = {name: data.get(name) for name in ("baseline", "launches", "seconds", "threads", "seed")}
    return Said(tuple(figures), status="ok" if ran else "NOT RUN", facts=facts, warned=warned(data))


def _entry(entry: Mapping[str, Any], how: str, baseline: str) -> Iterator[Figure]:
    timing, name = entry["timing"], str(entry["name"])
    if timing is None:
        return
    how = f"{how} images={int(timing.get('images', 1))}"
    cpu, wall = numbers(timing["cpu_launches_ms"]), numbers(timing["wall_launches_ms"])
    value = number(timing["cpu_ms"])
    if value is not None:
        yield Figure(name, "cpu_ms", value, "ms", n=len(cpu), samples=cpu, conditions=how)
    for percentile in _PERCENTILES:
        value = number(timing["wall_ms"].get(percentile, timing["wall_ms"].get(percentile.replace(".", "_"))))
        if value is not None:
            samples, n = wall if percentile == "p50" else (), int(timing["inferences"])
            yield Figure(name, f"wall_{percentile}_ms", value, "ms", n=n, samples=samples, conditions=how)
    for metric, unit in _OTHERS.items():
        value = _plain(timing.get(metric, entry.get(metric)))
        if value is not None:
            yield Figure(name, metric, value, unit, conditions=how)
    for metric in ("cpu_ratio", "wall_ratio"):
        ratio = entry.get(metric)
        if ratio is not None and name != baseline:
            low, high = (number(end) for end in ratio["interval"] or (None, None))
            some = number(ratio["value"])
            against = f"{how} against={baseline}"[:300]
            yield Figure(
                name, metric, math.nan if some is None else some, "", low, high, len(cpu), conditions=against
            )


def _plain(value: object) -> float | None:
    return number(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

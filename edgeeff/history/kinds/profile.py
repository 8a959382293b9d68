"""``edgeeff bench --profile``: time in all and rate; layers stay in the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edgeeff.history.figures import Figure, Said, number, warned

_METRICS = {"inference_us": "µs", "layers_us": "µs", "gmacs_per_s": "GMAC/s", "int8_peak_fraction": ""}


def said(data: Mapping[str, Any], bundles: Sequence[str]) -> Said:
    """What is kept of a report."""
    del bundles
    how = f"profiled threads={int(data['threads'])}"
    figures = [figure for entry in data["entries"] for figure in _entry(entry, how)]
    facts = {name: data.get(name) for name in ("launches", "seconds", "threads")}
    status = "ok" if figures else "NOT RUN"
    missing = tuple(str(entry["name"]) for entry in data["entries"] if "inference_us" not in entry)
    return Said(tuple(figures), status=status, facts=facts, warned=warned(data), not_run=missing)


def _entry(entry: Mapping[str, Any], how: str) -> Iterator[Figure]:
    if "inference_us" not in entry:
        return
    how = f"{how} images={int(entry['images'])}"
    for metric, unit in _METRICS.items():
        value = number(entry[metric])
        if value is not None:
            yield Figure(str(entry["name"]), metric, value, unit, n=int(entry["inferences"]), conditions=how)

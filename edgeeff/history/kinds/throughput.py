"""``edgeeff bench --throughput``: images a second of each bundle that ran."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgeeff.history.figures import Figure, Said, number, numbers, warned


def said(data: Mapping[str, Any], bundles: Sequence[str]) -> Said:
    """What is kept of a report."""
    del bundles
    how = f"threads={int(data['threads'])} requests={int(data['requests'])}"
    figures, missing = [], []
    for entry in data["entries"]:
        rate, name = entry["images_per_second"], str(entry["name"])
        if rate is None:
            missing.append(name)
            continue
        where = f"{how} images={int(entry['images'])}"
        low, high = (number(end) for end in rate["interval"] or (None, None))
        value, samples = number(rate["value"]), numbers(entry["launches_images_per_second"])
        if value is not None:
            metric = "images_per_second"
            figures.append(Figure(name, metric, value, "1/s", low, high, len(samples), samples, where))
    names = ("baseline", "launches", "seconds", "threads", "requests")
    return Said(
        tuple(figures),
        status="ok" if figures else "NOT RUN",
        facts={name: data.get(name) for name in names},
        warned=warned(data),
        not_run=tuple(missing),
    )

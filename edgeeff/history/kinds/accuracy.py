"""``edgeeff eval``: scores against labels, and fidelity against the float bundle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edgeeff.history.figures import Figure, Said, number, share, warned

#: Counts of a task's scores: they are no figures of a bundle's worth.
_COUNTS = ("images", "classes", "labels", "output", "boxes", "threshold")
_FIDELITY = {"sqnr_db": "dB", "sqnr_centred_db": "dB"}


def said(data: Mapping[str, Any], bundles: Sequence[str]) -> Said:
    """What is kept of a report."""
    name = str(data["bundle"])
    if name not in bundles and len(bundles) == 1:
        (name,) = bundles
    facts = {key: data.get(key) for key in ("images", "labelled", "metric", "via", "images_sha256")}
    if data.get("status") == "NOT RUN":
        return Said(status="NOT RUN", facts=facts, warned=warned(data), not_run=(name,))
    how = f"images={int(data['images'])} labelled={int(data['labelled'])}"
    if data.get("images_sha256"):
        how += f" set={str(data['images_sha256'])[:12]}"
    if data.get("via"):
        how += f" via={str(data['via'])[:100]}"
    figures = tuple(_figures(name, data, how))
    return Said(figures, facts=facts, warned=warned(data))


def _figures(name: str, data: Mapping[str, Any], how: str) -> Iterator[Figure]:
    scores, reference, images = data["scores"] or {}, data["reference"], int(data["labelled"])
    for metric, value in scores.items():
        if metric in _COUNTS or not isinstance(value, Mapping | int | float | str):
            continue
        if not isinstance(value, Mapping):
            found = number(value)
            if found is not None:
                yield Figure(name, str(metric), found, n=images, conditions=how)
        elif "interval" in value:
            yield share(name, str(metric), value, how)
    if reference is None:
        return
    against = f"{how} against={str(reference['name'])[:100]}"
    if reference["agreement"] is not None:
        yield share(name, "agreement", reference["agreement"], against)
    for metric, unit in _FIDELITY.items():
        value = number(reference[metric])
        if value is not None:
            yield Figure(name, metric, value, unit, n=int(data["images"]), conditions=against)
    drop = number(data.get("drop_points"))
    if drop is not None:
        ends = reference.get("lost", {}).get("interval", (None, None))
        low, high = (None if end is None else number(end) for end in ends)
        yield Figure(name, "drop_points", drop, "points", low, high, n=images, conditions=against)

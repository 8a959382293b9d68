"""``edgeeff build``: an artifact, and its hub graph in onnxruntime, against the float graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edgeeff.history.figures import Figure, Said, number, share, warned

_LEVELS = ("sqnr_db", "sqnr_centred_db", "hub_sqnr_db")


def said(data: Mapping[str, Any], bundles: Sequence[str]) -> Said:
    """What is kept of a report."""
    (name,) = bundles
    how = f"held-out={str(data.get('validation', ''))[:12]}"
    artifact, hub = data.get("artifact"), data.get("hub")
    figures = [*_of(name, "", artifact, how), *_of(name, "hub_graph_", hub, how)]
    facts = {key: str(data.get(key) or "")[:300] for key in ("check", "not_run")}
    status = "ok" if artifact is not None else "NOT RUN"
    return Said(tuple(figures), status=status, facts=facts, warned=warned(data))


def _of(name: str, prefix: str, found: Mapping[str, Any] | None, how: str) -> Iterator[Figure]:
    if found is None:
        return
    how = f"{how} images={int(found['images'])}"
    if found["agreement"] is not None:
        yield share(name, f"{prefix}agreement", found["agreement"], how)
    for level in _LEVELS:
        value = number(found.get(level))
        if value is not None:
            yield Figure(name, f"{prefix}{level}", value, "dB", n=int(found["images"]), conditions=how)

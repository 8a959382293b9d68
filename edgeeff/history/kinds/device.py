"""``edgeeff import-result``: TensorRT engines as a device measured them, INT8 and FP16."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edgeeff.history.figures import Figure, Said, number


def said(data: Mapping[str, Any], bundles: Sequence[str]) -> Said:
    """What is kept of a report."""
    (name,) = bundles
    result = data["result"]
    latency = result["latency"]
    how = f"images={int(latency['images'])}"
    figures: list[Figure] = []
    for precision, found in sorted(result["golden"].items()):
        figures += _engine(name, found, latency.get(precision) or {}, f"{how} engine={precision}")
    if latency.get("ratio"):
        ratio = latency["ratio"]["gpu_ms"]
        value, low, high = (number(ratio[key]) for key in ("value", "low", "high"))
        if value is not None:
            figures.append(Figure(name, "gpu_ratio", value, "", low, high, conditions=f"{how} against=fp16"))
    power = (result.get("power") or {}).get("millijoules") or {}
    for precision, energy in sorted(power.items()):
        value = number(energy)
        if value is not None:
            figures.append(Figure(name, "energy_mj", value, "mJ", conditions=f"{how} engine={precision}"))
    facts = {
        "runs": latency.get("runs"),
        "rounds": latency.get("rounds"),
        "pinned": result["clocks"]["pinned"],
    }
    passed = result["passed"] is True
    return Said(tuple(figures), status="ok" if passed else "failed", facts=facts, warned=int(not passed))


def _engine(name: str, golden: Mapping[str, Any], times: Mapping[str, Any], how: str) -> Iterator[Figure]:
    for metric in ("sqnr_hub_db", "sqnr_float_db"):
        value = number(golden[metric])
        if value is not None:
            yield Figure(name, metric, value, "dB", n=int(golden["images"]), conditions=how)
    for clock in ("host", "gpu"):
        for percentile, figure in times.get(f"{clock}_ms", {}).items():
            value = number(figure)
            if value is not None:
                yield Figure(name, f"{clock}_{percentile}_ms", value, "ms", conditions=how)

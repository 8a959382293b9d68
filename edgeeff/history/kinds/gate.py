"""``edgeeff gate``: its verdicts, and times that a bundle took by itself."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edgeeff.history.figures import Decision, Figure, Said, number, numbers, warned

_STATUS = ("pass", "fail", "inconclusive", "error")


def said(data: Mapping[str, Any], bundles: Sequence[str]) -> Said:
    """What is kept of a report."""
    decisions = tuple(_decision(verdict) for verdict in data["verdicts"])
    status = str(data["status"])
    if not {status, *(decision.status for decision in decisions)} <= set(_STATUS):
        raise ValueError("a status that no gate gives")
    figures = tuple(figure for v in data["verdicts"] for figure in _times(v) if figure.bundle in bundles)
    return Said(figures, decisions, status=status, warned=warned(data))


def _times(verdict: Mapping[str, Any]) -> Iterator[Figure]:
    """Times of a bundle measured by itself, against a baseline: a later gate asks what days differ by.

    Times of two bundles that were measured in turn are comparable with one another only.
    """
    measured = verdict.get("measured") or {}
    if verdict["metric"] != "latency" or measured.get("against") != "baseline":
        return
    clock, times = str(measured["clock"]), numbers(measured["new_ms"])
    if clock not in ("cpu", "wall") or not times:
        return
    conditions = f"threads={int(measured['threads'])}"
    yield Figure(
        str(verdict["case"]),
        f"alone_{clock}_ms",
        statistics.median(times),
        "ms",
        n=len(times),
        samples=times,
        conditions=conditions,
    )


def _decision(verdict: Mapping[str, Any]) -> Decision:
    value, low, high, bound = (number(verdict.get(key)) for key in ("value", "low", "high", "limit"))
    return Decision(
        name=str(verdict["case"])[:300],
        metric=str(verdict["metric"])[:100],
        status=str(verdict["status"])[:20],
        unit=str(verdict.get("unit", ""))[:20],
        value=value,
        low=low,
        high=high,
        bound=bound,
        why=" ".join(str(verdict.get("why", "")).split())[:10_000],
    )

"""``edgeeff gate``: its verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgeeff.history.reports import Decision, Said, number, warned

_STATUS = ("pass", "fail", "inconclusive", "error")


def said(data: Mapping[str, Any], bundles: Sequence[str]) -> Said:
    """What is kept of a report."""
    del bundles
    decisions = tuple(_decision(verdict) for verdict in data["verdicts"])
    status = str(data["status"])
    if not {status, *(decision.status for decision in decisions)} <= set(_STATUS):
        raise ValueError("a status that no gate gives")
    return Said(decisions=decisions, status=status, warned=warned(data))


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

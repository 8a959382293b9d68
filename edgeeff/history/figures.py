"""What is kept of a report: figures, decisions, and how the files of ``kinds/`` read them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: Of a figure, at most: the first ones.
_SAMPLES = 1000


@dataclass(frozen=True)
class Figure:
    """One figure of one bundle.

    Args:
        bundle: The name that the report has for it.
        metric: Such as ``cpu_ms`` or ``top_1``.
        value: NaN where the report says that it is none.
        unit: ``ms``, ``dB``, ``bytes``, ``points``, ``µs``; a share or a ratio has none.
        low: Lower end of its interval, if it has one.
        high: Its upper end.
        n: What it was computed from: launches, inferences or images.
        samples: Those of it, such as the median of each launch.
        conditions: What two figures must share to be compared: threads, images in a run, images evaluated.
    """

    bundle: str
    metric: str
    value: float
    unit: str = ""
    low: float | None = None
    high: float | None = None
    n: int | None = None
    samples: tuple[float, ...] = ()
    conditions: str = ""


@dataclass(frozen=True)
class Decision:
    """A gate's verdict."""

    name: str
    metric: str
    status: str
    unit: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    bound: float | None = None
    why: str = ""


@dataclass(frozen=True)
class Said:
    """What a kind of report says, beside what all have.

    Args:
        figures: Of its bundles.
        decisions: Of a gate.
        status: ``ok``, ``NOT RUN``, or a gate's.
        facts: How it was measured, as plain data.
        warned: How many warnings there were.
        not_run: Names of bundles that did not run, where others may have.
    """

    figures: tuple[Figure, ...] = ()
    decisions: tuple[Decision, ...] = ()
    status: str = "ok"
    facts: Mapping[str, Any] = field(default_factory=dict)
    warned: int = 0
    not_run: tuple[str, ...] = ()


def number(value: object) -> float | None:
    """A figure of a report: JSON has names for what is no number; None where the report has none.

    Raises:
        ValueError: It is something else.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{type(value).__name__} where a number is expected")
    return float(value)


def share(bundle: str, metric: str, found: Mapping[str, Any], conditions: str) -> Figure:
    """A proportion of a report, with its interval."""
    value, (low, high) = number(found["value"]), (number(end) for end in found["interval"])
    some = math.nan if value is None else value
    return Figure(
        bundle,
        metric,
        some,
        "",
        low,
        high,
        int(found.get("independent", found["total"])),
        conditions=conditions,
    )


def numbers(values: object) -> tuple[float, ...]:
    """A list of figures.

    Raises:
        ValueError: It is none, or of too many.
    """
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise ValueError("a list of numbers is expected")
    found = [number(value) for value in values[:_SAMPLES]]
    return tuple(value for value in found if value is not None and math.isfinite(value))


def warned(data: Mapping[str, Any]) -> int:
    """How many warnings a report has."""
    return len(data.get("warnings") or ())

"""What an activation swap came to, both networks side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edgeeff.cli import tables

if TYPE_CHECKING:
    from rich.table import Table


def table(scores: Mapping[str, Any]) -> Table:
    """A row for the float networks, and one for each target."""
    activation = scores["activation"]
    made = tables.new(
        *("", ">top-1 before", ">after", ">agreement", ">centred SQNR", ">time, after / before"),
        title=f"Swap to {activation} (experimental), agreement and SQNR to the float network as it was",
    )
    own = scores["float"]
    made.add_row(
        *("float", _top_1(own.get("before")), _top_1(own.get("after"))),
        *(_share(own.get("agreement")), f"{own['sqnr_centred_db']:.1f} dB", tables.NOT_RUN),
    )
    for name, found in scores.get("targets", {}).items():
        made.add_row(name, *_of_target(found))
    return made


def _of_target(found: Mapping[str, Any]) -> tuple[str, ...]:
    if "not_run" in found:
        return ("", "", "", "", f"{tables.NOT_RUN}: {found['not_run']}")
    before, after = (found.get(one, {}) for one in ("before", "after"))
    agreements = [_share((one.get("agreement") or {}).get("value")) for one in (before, after)]
    levels = [one.get("sqnr_centred_db") for one in (before, after)]
    decibels = " → ".join(f"{one:.1f}" if isinstance(one, float) else "–" for one in levels)
    return (
        _top_1(before.get("scores")),
        _top_1(after.get("scores")),
        " → ".join(agreements),
        f"{decibels} dB",
        _ratio(found.get("ratio")),
    )


def _ratio(ratio: Mapping[str, Any] | None) -> str:
    if ratio is None:
        return "–"
    interval = ratio.get("interval")
    ends = f" ({interval[0]:.2f}–{interval[1]:.2f})" if interval else ""
    return f"{ratio['value']:.2f}{ends}"


def _top_1(scores: Mapping[str, Any] | None) -> str:
    return _share((scores or {}).get("top_1", {}).get("value"))


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2%}"

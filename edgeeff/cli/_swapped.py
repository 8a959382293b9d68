"""What an activation swap came to, both networks side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edgeeff.cli import tables

if TYPE_CHECKING:
    from rich.table import Table


def table(scores: Mapping[str, Any]) -> Table:
    """Two rows for the float networks, and two for each target: the network as it was, and swapped."""
    made = tables.new(
        *("", "", ">top-1", ">agreement", ">centred SQNR", ">time"),
        title=f"Swap to {scores['activation']} (experimental).\nAgreement and SQNR: to the float network as "
        "it was; time: after / before",
    )
    own = scores["float"]
    made.add_row("float", "before", _top_1(own.get("before")), "", "", "")
    level = f"{own['sqnr_centred_db']:.1f} dB"
    made.add_row("", "after", _top_1(own.get("after")), _share(own.get("agreement")), level, tables.NOT_RUN)
    for name, found in scores.get("targets", {}).items():
        if "not_run" in found:
            made.add_row(name, "", "", "", "", f"{tables.NOT_RUN}: {found['not_run']}")
            continue
        made.add_row(name, "before", *_of_network(found.get("before", {})), "")
        made.add_row("", "after", *_of_network(found.get("after", {})), _ratio(found.get("ratio")))
    return made


def _of_network(found: Mapping[str, Any]) -> tuple[str, str, str]:
    level = found.get("sqnr_centred_db")
    return (
        _top_1(found.get("scores")),
        _share((found.get("agreement") or {}).get("value")),
        f"{level:.1f} dB" if isinstance(level, float) else "–",
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

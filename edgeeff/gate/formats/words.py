"""A verdict in words that every format uses, and foreign text made fit for them."""

from __future__ import annotations

import unicodedata

from edgeeff.gate.verdict import Settle, Status, Verdict

#: What a status is called where people read it.
CALLED: dict[Status, str] = {
    "pass": "pass",
    "fail": "FAIL",
    "inconclusive": "inconclusive",
    "error": "NOT MEASURED",
}


def one_line(text: str, longest: int = 2000) -> str:
    """Foreign text as one line: what breaks lines, steers a terminal or is no character becomes a space."""
    safe = "".join(
        " " if unicodedata.category(c) in ("Cc", "Cs", "Cf", "Zl", "Zp", "Cn", "Co") else c for c in text
    )
    shown = " ".join(safe.split())
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def figure(value: float | None, unit: str) -> str:
    """Such as ``+1.2 %`` of a change, ``0.5 points``, ``5.1 MB``."""
    if value is None:
        return ""
    digits = 2 if abs(value) < 10 else 1
    value = round(value, digits) + 0.0  # no negative nothing
    sign = "+" if unit in ("%", "points") else ""
    return f"{value:{sign}.{digits}f} {unit}".rstrip()


def limit(verdict: Verdict) -> str:
    """Such as ``3 %``; nothing where there is none."""
    if verdict.limit is None:
        return ""
    unit = "point" if (verdict.limit, verdict.unit) == (1, "points") else verdict.unit
    return f"{verdict.limit:g} {unit}".rstrip()


def interval(verdict: Verdict) -> str:
    """Such as ``+0.31…+1.90 %``, ``≤ +0.93 points`` of an upper end alone; nothing where there is none."""
    if verdict.high is None:
        return ""
    low, high = (
        figure(value, verdict.unit).removesuffix(verdict.unit).strip()
        for value in (verdict.low, verdict.high)
    )
    return f"{f'{low}…' if low else '≤ '}{high} {verdict.unit}".rstrip()


def settle(found: Settle | None) -> str:
    """What would settle an inconclusive verdict, as a sentence; nothing where nothing would."""
    if found is None:
        return ""
    parts = []
    if found.launches is not None:
        parts.append(f"{found.launches} launches (--launches {found.launches})")
    if found.images is not None:
        parts.append(f"{found.images} labelled images")
    if not parts and found.seconds is None:
        return ""
    told = " and ".join(parts) or "more time"
    seconds = f", about {found.seconds:.0f} s" if found.seconds is not None else ""
    return f"{told} would settle it{seconds}"


def title(verdict: Verdict) -> str:
    """Case and metric in one line."""
    return one_line(f"{verdict.place}: {verdict.metric}", 300)


def summary(verdict: Verdict) -> str:
    """Why the status follows, and what would settle it: one line."""
    more = settle(verdict.settle)
    return one_line(f"{verdict.why}{f'; {more}' if more else ''}")


def printed(verdict: Verdict) -> list[str]:
    """What a process that crashed or hung had printed last, line by line."""
    said = verdict.measured.get("printed")
    return [one_line(line) for line in said.splitlines()[-50:]] if isinstance(said, str) else []

"""``measured/verification.json``: whether what was read there is of the form that a build writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def is_report(found: Mapping[str, Any]) -> bool:
    """Whether all that is shown of a report is of the types that a build writes."""
    plain = all(isinstance(found.get(name, ""), str) for name in ("check", "not_run", "validation"))
    warnings = found.get("warnings", [])
    listed = isinstance(warnings, list) and all(isinstance(warning, str) for warning in warnings)
    return plain and listed and all(_is_fidelity(found.get(name)) for name in ("artifact", "hub"))


def _is_fidelity(found: Any) -> bool:
    """None, or images, SQNR (infinite ones are text) and agreement, where the task has one."""
    if found is None:
        return True
    if not isinstance(found, dict) or not isinstance(found.get("agreement"), dict | None):
        return False
    agreement, images, level = found.get("agreement"), found.get("images"), found.get("sqnr_db")
    share = 1 if agreement is None else agreement.get("value")
    numbers = type(images) is int and images >= 0 and type(share) in (int, float) and 0 <= share <= 1
    return numbers and type(level) in (int, float, str, type(None))

"""Numbers as they stand in a manifest, which may lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def section(data: object, name: str, keys: tuple[str, ...]) -> Mapping[str, Any]:
    """A JSON object that has these keys and no others.

    Raises:
        ValueError: It is something else.
    """
    if not isinstance(data, Mapping) or set(data) != set(keys):
        given = ", ".join(map(str, data)) if isinstance(data, Mapping) else f"{data!r:.60}"
        raise ValueError(f"{name} has {given:.200}; it must have {', '.join(keys)}")
    return data


def whole(value: object, name: str, low: int, high: int) -> int:
    """A whole number of a range.

    Raises:
        ValueError: It is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{name} is {value!r:.60}; it must be a whole number, {low} to {high}")
    return value


def number(value: object, name: str, low: float, high: float) -> float:
    """A number of a range.

    Raises:
        ValueError: It is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{name} is {value!r:.60}; it must be a number, {low:g} to {high:g}")
    return float(value)


def listed(value: object, name: str, low: int, high: int) -> list[Any]:
    """A list of so many elements.

    Raises:
        ValueError: It is something else.
    """
    if not isinstance(value, list | tuple) or not low <= len(value) <= high:
        raise ValueError(f"{name} is {value!r:.60}; it must be a list of {low} to {high} elements")
    return list(value)

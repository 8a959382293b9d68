"""Values of report files as they are shown: of the right type and finite, or not there at all.

A report may be of a later edgeeff with the same schema, or edited by hand: what is missing or of another type
is left out of the page, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edgeeff.text import clean

#: Characters of the longest name that is shown, and of the longest sentence.
_LONGEST, _LONG = 300, 3000
#: The greatest number that a figure has: no time, count or size comes near it.
_GREATEST = 1e18


def at(data: Any, *keys: str | int) -> Any:
    """What lies under these keys; None where one is missing."""
    for key in keys:
        if isinstance(data, Mapping):
            data = data.get(key)
        elif isinstance(data, (list, tuple)) and isinstance(key, int):
            data = data[key] if -len(data) <= key < len(data) else None
        else:
            return None
    return data


def number(data: Any, *keys: str | int) -> float | None:
    """A number of a size that figures have; None for everything else."""
    found = at(data, *keys)
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        return None
    try:
        value = float(found)
    except OverflowError:
        return None
    return value if abs(value) <= _GREATEST else None  # of what is no number that is false


def level(data: Any, *keys: str | int) -> float | None:
    """A level in dB, which may be infinite; JSON has that as text. None for everything else."""
    found = at(data, *keys)
    if found in ("inf", "-inf"):
        return float(found)
    return number(found)


def whole(data: Any, *keys: str | int) -> int | None:
    """A whole number, 0 or more; None for everything else."""
    found = number(data, *keys)
    return int(found) if found is not None and found >= 0 and found == int(found) else None


def interval(data: Any, *keys: str | int) -> tuple[float, float] | None:
    """Two numbers, the lower one first; None for everything else."""
    low, high = number(data, *keys, 0), number(data, *keys, 1)
    return None if low is None or high is None or low > high else (low, high)


def text(data: Any, *keys: str | int) -> str:
    """A text without what would steer a page's reading direction, shortened; nothing for everything else."""
    found = at(data, *keys)
    if not isinstance(found, str):
        return ""
    found = clean(found)
    return found if len(found) <= _LONGEST else found[: _LONGEST - 1] + "…"


def sentence(data: Any, *keys: str | int) -> str:
    """The same of what may be long: a warning, a reason."""
    found = at(data, *keys)
    if not isinstance(found, str):
        return ""
    found = clean(found)
    return found if len(found) <= _LONG else found[: _LONG - 1] + "…"


def sentences(data: Any, *keys: str | int) -> list[str]:
    """The sentences of a list."""
    return [shown for one in rows(data, *keys) if (shown := sentence(one))]


def texts(data: Any, *keys: str | int) -> list[str]:
    """The texts of a list."""
    return [shown for one in rows(data, *keys) if (shown := text(one))]


def rows(data: Any, *keys: str | int) -> list[Any]:
    """A list; an empty one for everything else."""
    found = at(data, *keys)
    return list(found) if isinstance(found, (list, tuple)) else []


def items(data: Any, *keys: str | int) -> Iterator[tuple[str, Any]]:
    """The pairs of an object whose keys are text; none for everything else."""
    found = at(data, *keys)
    if isinstance(found, Mapping):
        yield from ((text(key), value) for key, value in found.items() if isinstance(key, str))

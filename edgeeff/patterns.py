"""Regular expressions from files: those that Python's matcher would never be done with are refused.

It tries every way to part a text among repeats: exponentially many where one repeat lies in another, and as
many as the text's length to the power of their number where they follow one another.
"""

from __future__ import annotations

import re
import sys
import warnings
from importlib import import_module
from typing import Any

# Python's own parser; 3.11 gave it another name.
_PARSER: Any = import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")
#: A repeat of more than that is one without end: names have at most 255 bytes.
_MANY = 32
#: Repeats that may follow one another.
_MOST = 4


def groups(pattern: str) -> int:
    """How many groups a pattern has, which can be matched in a moment.

    Raises:
        ValueError: It is no regular expression, or one that can take for ever.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sets in sets, which a Python to come may read otherwise
            found, parsed = re.compile(pattern).groups, _PARSER.parse(pattern)
        repeats = _repeats(parsed, within=False)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
    if repeats > _MOST:
        raise ValueError(
            f"{pattern!r} can take for ever: nothing that repeats may hold repeats or alternatives, and at "
            f"most {_MOST} may follow one another"
        )
    return found


def _repeats(part: Any, *, within: bool) -> int:
    """The repeats without end of a parsed pattern; one in another, or alternatives in one, are too many."""
    if isinstance(part, tuple) and len(part) == 2 and str(part[0]) in ("MAX_REPEAT", "MIN_REPEAT"):
        _, most, body = part[1]
        if most <= _MANY:
            return _repeats(body, within=within) * int(most)
        return _MOST + 1 if within else 1 + _repeats(body, within=True)
    if within and isinstance(part, tuple) and part and str(part[0]) in ("BRANCH", "GROUPREF"):
        return _MOST + 1
    if isinstance(part, tuple | list | _PARSER.SubPattern):
        return sum(_repeats(one, within=within) for one in part)
    return 0

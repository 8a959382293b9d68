"""Sizes of memory as people write them: ``512K``, ``1M``, ``65536``."""

from __future__ import annotations

import re

from edgeeff.errors import OptionError

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20}
#: The least that an interpreter is given: it holds its own structures in it.
LEAST = 1 << 10
_MOST = 1 << 32


def read(text: str) -> int:
    """Bytes.

    Raises:
        OptionError: It is no size, or none that an arena has.
    """
    found = re.fullmatch(r"([0-9]{1,12})([KkMm]?)", text.strip(), re.ASCII)
    size = int(found[1]) * _UNITS[found[2].upper()] if found else 0
    if not LEAST <= size <= _MOST:
        raise OptionError(
            f"an arena of {text!r:.60}", mend="write bytes, or 512K, or 2M: from 1K on, to 4096M at most"
        )
    return size


def shown(size: int) -> str:
    """Bytes for a person: in K, rounded up, as ``--arena`` takes it."""
    return f"{-(-size // 1024)}K"

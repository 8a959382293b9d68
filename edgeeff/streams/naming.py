"""How a source is called where others may read it: without the password that its text may hold."""

from __future__ import annotations

import re

#: A password may hold a / that was to be %2F; what follows a host's name is a port.
_PASSWORD = re.compile(r"(://[^/\s:@]*):(?:[^/\s]*|(?!\d+/)\S*)@")
_PROPERTY = re.compile(r"\b((?:user-pw|proxy-pw|password)\s*=\s*)(\"[^\"]*\"|\S+)")
#: Characters of a pipeline's name.
_LONGEST = 40


def shown(text: str) -> str:
    """A source's text without passwords."""
    return _PROPERTY.sub(r"\1***", _PASSWORD.sub(r"\1:***@", text))


def called(text: str) -> str:
    """What each of its frames is called by: a pipeline by its first element."""
    if text == "-":
        return "standard input"
    name = shown(text)
    if not name.startswith("gst:"):
        return name
    first, more, _ = name.partition("!")
    first = first.strip()
    return f"{first[:_LONGEST]}…" if more or len(first) > _LONGEST else first

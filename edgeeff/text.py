"""Text and JSON files that people write or other programs export, read whole and within a limit.

Windows editors put a byte order mark before the text, write UTF-16 and end lines in CRLF. All of that is
read; what is no text is refused.
"""

from __future__ import annotations

import codecs
import html
import json
import re
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

from edgeeff import regular
from edgeeff.errors import EdgeeffError

#: Bytes of the largest file that is read: a list of a million images is smaller.
LARGEST = 256 << 20

# UTF-32's mark begins with UTF-16's: it is looked for first.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

#: Classes of the characters that turn the direction of writing.
_DIRECTIONS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


def read(path: Path, kind: type[EdgeeffError], largest: int = LARGEST) -> str:
    """A file's text, its byte order mark taken off, its lines ended by ``\\n``.

    Args:
        path: UTF-8 with or without a mark, or UTF-16 or UTF-32 with one.
        kind: Of the error that is raised.
        largest: Bytes that the file may have.

    Raises:
        EdgeeffError: Of that kind: the file cannot be read, is too large, or is no such text.
    """
    return decode(regular.read(path, kind, largest, "pass the path of a text file"), path, kind)


def decode(data: bytes, name: object, kind: type[EdgeeffError]) -> str:
    """The same of bytes that were read; ``name`` stands in the message."""
    mark, encoding = next(((m, e) for m, e in _MARKS if data.startswith(m)), (b"", "utf-8"))
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: len(mark) + error.start].count(b"\n") + 1
        raise kind(
            f"{name} is not UTF-8 text (line {line})" if not mark else f"{name} is damaged {encoding} text",
            mend="save the file as UTF-8",
        ) from None
    if "\0" in text:
        raise kind(f"{name} is not UTF-8 text: it holds NUL bytes", mend="save the file as UTF-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def lines(path: Path, kind: type[EdgeeffError], largest: int = LARGEST) -> list[str]:
    """A file's lines, the empty ones at its end left out; only line ends part lines, no other character.

    Raises:
        EdgeeffError: As in :func:`read`.
    """
    found = read(path, kind, largest).split("\n")
    while found and not found[-1].strip():
        found.pop()
    return found


def read_json(path: Path, kind: type[EdgeeffError], largest: int = LARGEST) -> Any:
    """A JSON file's content.

    Raises:
        EdgeeffError: As in :func:`read`; or the file is no JSON, or an object names a key twice.
    """
    return parse_json(read(path, kind, largest), path, kind)


def parse_json(text: str, name: object, kind: type[EdgeeffError]) -> Any:
    """The same of text that was read; ``name`` stands in the message."""
    try:
        return json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:  # JSONDecodeError is a ValueError
        raise kind(f"{name} is not JSON: {error}", mend="correct the file's syntax") from None


def is_text(name: str) -> bool:
    """Whether a file's name, or an argument, is text: the system takes any bytes, no JSON holds them."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def steers(character: str) -> bool:
    """Whether a terminal obeys a character instead of showing it, or turns the text around it."""
    kind = unicodedata.category(character)
    return (
        kind in ("Cc", "Cs", "Zl", "Zp")
        or unicodedata.bidirectional(character) in _DIRECTIONS
        or (character in "\u200e\u200f\u061c")
    )


def clean(text: str) -> str:
    """Text from files that are not trusted, with ``\N{REPLACEMENT CHARACTER}`` for what steers a terminal."""
    if text.isprintable():
        return text
    return "".join("\N{REPLACEMENT CHARACTER}" if c not in "\n\t" and steers(c) else c for c in text)


def in_markdown(text: str) -> str:
    """A name or a sentence in a line of Markdown: nothing of it becomes markup, a link or another line."""
    shown = html.escape(" ".join(clean(text).split()), quote=False)
    return re.sub(r"([\\`*\[\]|])", r"\\\1", shown)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; JSON lets a key stand twice, and which of the two counts is anybody's guess."""
    found = dict(pairs)
    if len(found) < len(pairs):
        counted = Counter(key for key, _ in pairs)
        raise ValueError(f"the key {max(counted, key=lambda key: counted[key])!r} stands twice")
    return found

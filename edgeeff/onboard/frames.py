"""Frames: what host and board say to each other, and the agent to its children; both ends read them by this.

A frame is four bytes of length and four of CRC-32 of a header, big-endian; the header, a JSON object; and the
payloads whose sizes and SHA-256 it names. A frame that is cut or damaged is an error, never a value.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

#: Bytes of the largest header, and of all payloads of the largest frame.
LARGEST_HEADER, LARGEST_PAYLOADS = 1 << 20, 1 << 30
#: Bytes that one call of the system reads or writes at most.
_PIECE = 1 << 18
_PREFIX = struct.Struct(">II")


class FrameError(Exception):
    """A frame that is cut, damaged or larger than any frame is."""


class Frame(NamedTuple):
    """One message.

    Args:
        header: What it says.
        payloads: Bytes that go with it.
    """

    header: dict[str, Any]
    payloads: list[bytearray]


def write(out: int, header: Mapping[str, Any], payloads: Sequence[Any] = (), *, sealed: bool = True) -> None:
    """Write a frame.

    Args:
        out: A file descriptor.
        header: Plain data, without ``payloads``.
        payloads: Bytes, or what has a buffer of bytes.
        sealed: With the payloads' SHA-256; between processes of one machine that is only time.

    Raises:
        OSError: It cannot be written.
        FrameError: It is larger than any frame may be.
    """
    views = [memoryview(payload).cast("B") if len(payload) else memoryview(b"") for payload in payloads]
    sums = [[len(view), hashlib.sha256(view).hexdigest() if sealed else ""] for view in views]
    text = json.dumps({**header, "payloads": sums}, allow_nan=True).encode()
    if len(text) > LARGEST_HEADER or sum(map(len, views)) > LARGEST_PAYLOADS:
        raise FrameError(f"a message of {len(text)} and {sum(map(len, views))} bytes is too large")
    for view in (memoryview(_PREFIX.pack(len(text), zlib.crc32(text)) + text), *views):
        start = 0
        while start < len(view):
            start += os.write(out, view[start : start + _PIECE])


def read(source: int, heard: Callable[[], None] | None = None) -> Frame | None:
    """Read a frame; None where the other end closed behind the last one.

    Args:
        source: A file descriptor.
        heard: Called whenever bytes have come.

    Raises:
        FrameError: It is cut, damaged or too large.
        OSError: It cannot be read.
    """
    prefix = _exactly(source, _PREFIX.size, heard, at_start=True)
    if prefix is None:
        return None
    length, checked = _PREFIX.unpack(prefix)
    if length > LARGEST_HEADER:
        raise FrameError(f"a header of {length} bytes")
    text = _exactly(source, length, heard) or bytearray()
    if zlib.crc32(text) != checked:
        raise FrameError("a damaged header")
    try:
        header = json.loads(text.decode("utf-8"))
        sums = [(int(size), str(digest)) for size, digest in header.pop("payloads")]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise FrameError(f"a header that cannot be understood ({error})") from None
    if any(size < 0 for size, _ in sums) or sum(size for size, _ in sums) > LARGEST_PAYLOADS:
        raise FrameError("payloads that are too large")
    payloads = []
    for size, digest in sums:
        payload = _exactly(source, size, heard) or bytearray()
        if digest and hashlib.sha256(payload).hexdigest() != digest:
            raise FrameError("a damaged payload")
        payloads.append(payload)
    return Frame(header, payloads)


def _exactly(
    source: int, size: int, heard: Callable[[], None] | None, at_start: bool = False
) -> bytearray | None:
    """So many bytes; None where there are none at all, at the start of a frame."""
    found = bytearray()
    while len(found) < size:
        part = os.read(source, min(size - len(found), _PIECE))
        if not part:
            if at_start and not found:
                return None
            raise FrameError("the connection was cut within a message")
        found += part
        if heard is not None:
            heard()
    return found

"""The parts of an answer that never ends (multipart/x-mixed-replace), as cameras write it.

Cameras write the boundary with and without the two dashes that begin it, end lines by LF alone, and leave out
the length; a part without one ends at the next boundary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

#: Bytes of a part, and of its headers, at most.
_PART, _HEADERS = 1 << 26, 1 << 14
_PIECE = 1 << 16


def parts(read: Callable[[int], bytes], boundary: str) -> Iterator[bytes]:
    """The bodies of the parts, each as soon as it is whole.

    Args:
        read: Gives up to so many bytes as soon as there are some, none at the end.
        boundary: As the answer's header says it.

    Raises:
        ValueError: There are no such parts, or one is too large.
        OSError: What ``read`` raises.
    """
    mark = b"--" + boundary.strip().strip('"').encode("latin-1", "replace").removeprefix(b"--")
    held = bytearray()

    def until(*marks: bytes, start: int, most: int, what: str) -> tuple[int, int]:
        """Where the first of some marks is, and where it ends; (-1, -1): it ended before."""
        looked = start
        while True:
            places = [(at, at + len(each)) for each in marks if (at := held.find(each, looked)) >= 0]
            if places:
                return min(places)
            if len(held) - start > most:
                raise ValueError(f"{most} bytes and no {what}: it is no MJPEG")
            looked = max(start, len(held) - max(map(len, marks)))
            if not more():
                return -1, -1

    def more() -> bool:
        piece = read(_PIECE)
        held.extend(piece)
        return bool(piece)

    while True:
        _, begin = until(mark, start=0, most=_PART, what="boundary")
        if begin < 0:
            return
        end, body = until(b"\r\n\r\n", b"\n\n", start=begin, most=_HEADERS, what="end of a part's headers")
        if body < 0:
            return
        length = _length(bytes(held[begin:end]))
        if length is None:
            stop, _ = until(mark, start=body, most=_PART, what="next boundary")
        else:
            stop = body + length
            while len(held) < stop:
                if not more():
                    return
        if stop < 0:
            return
        content = bytes(held[body:stop])
        del held[:stop]
        yield content if length is not None else content.removesuffix(b"\n").removesuffix(b"\r")


def _length(headers: bytes) -> int | None:
    """The number of bytes that a part's headers say."""
    for line in headers.splitlines():
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            length = int(value[:20])
            if length > _PART:
                raise ValueError(f"a part of {length} bytes: it is no MJPEG")
            return length
    return None

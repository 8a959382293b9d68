"""The standard streams as a process may get them: closed, full, without a reader, without our characters.

A verb prints as if all were well. What a stream does not take is dropped and remembered, so that the work is
done and its status is what it is; :func:`refusal` tells at the end what could not be printed.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import os
import sys
from typing import TextIO

_IN, _OUT, _ERR = 0, 1, 2
#: The name of what is done with characters that an encoding does not have.
_SPELLED = "edgeeff.spelled"
_SPELLINGS = str.maketrans(
    {
        "→": "->",
        "…": "...",
        "•": "*",
        "×": "x",
        "–": "-",
        "—": "-",
        "−": "-",
        "µ": "u",
        "≤": "<=",
        "≥": ">=",
        "\N{REPLACEMENT CHARACTER}": "?",
    }
)


class _Lenient(io.TextIOWrapper):
    """A stream that fails to nobody: it keeps its first error, and from then on takes and drops all.

    Only what stands above the buffer is ours: a Ctrl-C in a raw stream of ours would write its text twice.
    """

    error: OSError | None = None

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._fail(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        """What is still in the buffer goes nowhere, and so does what a library writes past us."""
        self.error = self.error or error
        with contextlib.suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)


_out: _Lenient | None = None
_closed = False


def prepare() -> None:
    """Give the process three streams that can be written to. Called once, before anything is opened.

    A closed stream's number would else go to the next file that is opened, and a library that complains on
    standard error would write into it.
    """
    global _out, _closed
    closed = [number for number in (_IN, _OUT, _ERR) if not _is_open(number)]
    for number in closed:  # in their order: the system gives the lowest number that is free
        os.open(os.devnull, os.O_RDONLY if number == _IN else os.O_WRONLY)
    _closed = _OUT in closed
    codecs.register_error(_SPELLED, _spelled)
    if sys.stdin is None:
        sys.stdin = open(_IN, encoding="utf-8", closefd=False)  # noqa: SIM115  it lives as long as we do
    if sys.stdout is sys.__stdout__:
        sys.stdout = _out = _lenient(sys.stdout, _OUT)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _lenient(sys.stderr, _ERR)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _lenient(stream: TextIO | None, number: int) -> _Lenient:
    raw = io.FileIO(number, "wb", closefd=False)
    encoding = stream.encoding if stream is not None else "utf-8"
    lines = number == _ERR or raw.isatty()
    return _Lenient(io.BufferedWriter(raw), encoding=encoding, errors=_SPELLED, line_buffering=lines)


def _spelled(error: UnicodeError) -> tuple[str | bytes, int]:
    """What stands in a text for characters that an encoding lacks: ``->`` for an arrow, else ``\\uXXXX``."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(_SPELLINGS)
    return text.encode("ascii", "backslashreplace").decode("ascii"), error.end


def nobody_reads() -> bool:
    """Whether standard output takes nothing more: work that goes on for ever may end."""
    return _out is not None and _out.error is not None


def is_unicode(stream: TextIO) -> bool:
    """Whether a stream's encoding has every character."""
    return (getattr(stream, "encoding", None) or "utf-8").lower().startswith("utf")


def refusal() -> tuple[str, str] | None:
    """What was wrong with standard output, and how to mend it; None: all was written.

    A reader that is gone (``| head``) wanted no more: nothing is wrong.
    """
    if _closed:
        return "standard output is closed: no result could be printed", "send it to a file, or to /dev/null"
    if _out is None:
        return None
    _out.flush()
    error = _out.error
    if error is None or error.errno == errno.EPIPE:
        return None
    return (
        f"standard output cannot be written: {error.strerror}",
        "send it to where there is space; files that were written are whole",
    )

"""Memory that ran out, whatever says it: Python, torch, OpenVINO, onnxruntime, LiteRT, the dynamic linker.

Each has words of its own, and some of them reach us inside an error that blames something else.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

from edgeeff.errors import EdgeeffError, OutOfMemoryError

#: Words of torch ("DefaultCPUAllocator: can't allocate memory"), of C++ ("std::bad_alloc"), of onnxruntime
#: ("Failed to allocate memory for requested buffer"), of TFLite ("Failed to allocate tensors"), of dlopen
#: ("failed to map segment"), of protobuf ("Failed to serialize proto", with nothing beside) and of C and
#: Python where no thread finds a stack.
_WORDS = re.compile(
    r"can't alloc|not enough memory|bad_alloc|bad allocation|cannot allocate memory"
    r"|resource temporarily unavailable"
    r"|failed to allocate|out of memory|unable to allocate|failed to map segment|can't start new thread"
    r"|cannot allocate region|could not create a (?:primitive|memory object)|std::length_error"
    r"|\bMemoryError\b|^Failed to serialize proto$",
    re.IGNORECASE,
)
BUILDING = "close other programs or raise the limit; a smaller --size or one --target at a time take less"
RUNNING = "close other programs or raise the limit; fewer --threads and fewer bundles at once take less"


def told_in(text: str) -> bool:
    """Whether a text, such as what a process printed at its end, says that memory ran out."""
    return _WORDS.search(text) is not None


def is_shortage(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, is that memory ran out."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OutOfMemoryError | MemoryError):
            return True
        if isinstance(error, OSError) and error.errno == errno.ENOMEM:
            return True
        if not isinstance(error, EdgeeffError) and told_in(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def refusal(doing: str, mend: str) -> OutOfMemoryError:
    """The error that says so."""
    return OutOfMemoryError(f"memory ran out while {doing}", mend=mend)


@contextmanager
def told(doing: str, mend: str) -> Iterator[None]:
    """Say of an error within that memory ran out, where it did.

    Raises:
        OutOfMemoryError: It did.
    """
    try:
        yield
    except OutOfMemoryError:
        raise
    except Exception as error:
        if not is_shortage(error):
            raise
        raise refusal(doing, mend) from None

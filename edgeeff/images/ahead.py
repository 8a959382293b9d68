"""Images decoded by threads while those before them are used: in order, and never many more than are needed.

Pillow releases Python's lock while it decodes and resizes, so threads are enough to keep all processors busy.
"""

from __future__ import annotations

import os
import warnings
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeeff.errors import ImageError
from edgeeff.images.decoding import try_decode_each
from edgeeff.images.picture import Picture
from edgeeff.preprocess import Pixels, Preprocess

#: Images that a thread decodes before it hands them over.
_TOGETHER = 8
#: Threads at most. Each holds one decoded photo, and nothing runs a network faster than so many decode.
_THREADS = 8


@dataclass(frozen=True)
class Sight:
    """Images as one preprocessing shows them.

    Args:
        pixels: uint8 [n, H, W, C] of those that could be decoded.
        numbers: Which images these are, int64 [n].
        bad: Why others could not be, by their numbers.
    """

    pixels: Pixels
    numbers: npt.NDArray[np.int64]
    bad: Mapping[int, str]


@dataclass(frozen=True)
class Part:
    """Some images that follow one another, from number ``start`` up to ``stop``, for each preprocessing."""

    start: int
    stop: int
    sights: tuple[Sight, ...]


@contextmanager
def decoded(
    pictures: Sequence[Picture], preprocesses: Sequence[Preprocess], size: int, start: int = 0
) -> Iterator[Iterator[Part]]:
    """Decode images, each once, and fit them as each preprocessing wants.

    The threads are gone when the context is left, however it is.

    Args:
        pictures: The images.
        preprocesses: At least one.
        size: Images of a part; of the last one fewer.
        start: The first image, a multiple of ``size``.
    """
    spans = _spans(start, len(pictures), size)
    with quiet(), ThreadPoolExecutor(threads(), thread_name_prefix="decode") as pool:
        waiting: deque[tuple[_Span, Future[Part]]] = deque()

        def submit() -> None:
            if (span := next(spans, None)) is not None:
                chosen = pictures[span.start : span.stop]
                waiting.append((span, pool.submit(_decode, span.start, chosen, preprocesses)))

        def parts() -> Iterator[Part]:
            found: list[Part] = []
            while waiting:
                span, future = waiting.popleft()
                found.append(future.result())
                submit()
                if span.last:
                    yield _joined(found)
                    found = []

        for _ in range(2 * threads() + 1):
            submit()
        try:
            yield parts()
        finally:
            for _, future in waiting:
                future.cancel()


def threads() -> int:
    """How many threads decode: one for each processor that this process may use, two at least."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(2, min(usable, _THREADS))


@dataclass(frozen=True)
class _Span:
    """Images that one thread decodes; ``last``: with them a part is whole."""

    start: int
    stop: int
    last: bool


def _spans(start: int, total: int, size: int) -> Iterator[_Span]:
    for part in range(start, total, size):
        end = min(part + size, total)
        for first in range(part, end, _TOGETHER):
            stop = min(first + _TOGETHER, end)
            yield _Span(first, stop, stop == end)


def _decode(start: int, pictures: Sequence[Picture], preprocesses: Sequence[Preprocess]) -> Part:
    found = [try_decode_each(picture, preprocesses) for picture in pictures]
    sights = []
    for which in range(len(preprocesses)):
        kept: list[Pixels] = []
        numbers: list[int] = []
        bad: dict[int, str] = {}
        for number, each in enumerate(found, start):
            result = each[which]
            if isinstance(result, ImageError):
                bad[number] = result.what
            else:
                kept.append(result)
                numbers.append(number)
        pixels = np.stack(kept) if kept else np.zeros((0, 0, 0, 0), np.uint8)
        sights.append(Sight(pixels, np.array(numbers, np.int64), bad))
    return Part(start, start + len(found), tuple(sights))


def _joined(parts: Sequence[Part]) -> Part:
    """Parts that follow one another as one; a single one as it is, so that nothing is copied again."""
    if len(parts) == 1:
        return parts[0]
    sights = []
    for each in zip(*(part.sights for part in parts), strict=True):
        filled = [sight.pixels for sight in each if len(sight.pixels)]
        pixels = np.concatenate(filled) if filled else each[0].pixels
        numbers = np.concatenate([sight.numbers for sight in each])
        sights.append(Sight(pixels, numbers, {n: why for sight in each for n, why in sight.bad.items()}))
    return Part(parts[0].start, parts[-1].stop, tuple(sights))


@contextmanager
def quiet() -> Iterator[None]:
    """Without warnings of what decodes: Pillow's of odd EXIF and palettes, which it reads all the same.

    The filters belong to the whole process, so nobody else's warnings are held back meanwhile.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(PIL|edgeeff\.(images|depth|preprocess))(\.|$)")
        yield

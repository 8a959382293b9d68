"""Photos decoded and varied by threads, in order. What the network is shown is made by ``Preprocess`` alone.

A photo is varied before it is resized, so that the resize is the deployment's and no pixel is filtered twice.
How it is varied hangs on the seed, the photo's content and the epoch, and on nothing else: any order, any
number of threads and any interruption give the same pixels.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from PIL import Image

from edgeeff.errors import ImageError
from edgeeff.images import Picture
from edgeeff.images.ahead import quiet, threads
from edgeeff.images.decoding import try_image
from edgeeff.preprocess import Pixels, Preprocess

Result = TypeVar("Result")
#: Changes a decoded photo: ``vary(image, random)``.
Vary = Callable[[Image.Image, np.random.Generator], Image.Image]
#: Changes what the network is shown of it, uint8 [H, W, C]: ``alter(pixels, random)``.
Alter = Callable[[Pixels, np.random.Generator], Pixels]


@dataclass(frozen=True)
class Seen:
    """What the network is shown of some photos.

    Args:
        pixels: uint8 [n, H, W, C].
        numbers: Which photos these are, in their order.
        bad: Why others could not be decoded, by number.
    """

    pixels: Pixels
    numbers: tuple[int, ...]
    bad: dict[int, str]


def generator(*numbers: int) -> np.random.Generator:
    """Random numbers that hang on these alone, none of them negative."""
    return np.random.default_rng(numbers)


def seen(
    pictures: Sequence[Picture],
    batches: Sequence[Sequence[int]],
    preprocess: Preprocess,
    vary: Vary | None = None,
    seed: Sequence[int] = (),
    alter: Alter | None = None,
) -> Iterator[Seen]:
    """Batches of photos, decoded ahead while those before them are used.

    Args:
        pictures: All photos.
        batches: The numbers of each batch's photos.
        preprocess: From a photo to the network's pixels.
        vary: What changes a photo before; None: nothing does.
        seed: Of its random numbers, with what tells the photo from others behind.
        alter: What changes the network's pixels of it afterwards; None: nothing does.
    """
    for numbers, found in in_batches(
        lambda number: _one(pictures[number], preprocess, vary, seed, alter), batches
    ):
        yield _together(numbers, found)


def in_batches(
    make: Callable[[int], Result], batches: Iterable[Sequence[int]]
) -> Iterator[tuple[Sequence[int], list[Result]]]:
    """What threads make of each photo, batch by batch in order: two batches ahead of the one that is used.

    Args:
        make: Given a photo's number.
        batches: The numbers of each batch's photos.
    """
    with quiet(), ThreadPoolExecutor(threads(), thread_name_prefix="decode") as pool:
        waiting: deque[tuple[Sequence[int], list[Future[Result]]]] = deque()
        rest = iter(batches)

        def submit() -> None:
            if (chosen := next(rest, None)) is not None:
                waiting.append((chosen, [pool.submit(make, int(number)) for number in chosen]))

        submit()
        submit()
        try:
            while waiting:
                chosen, futures = waiting.popleft()
                found = [future.result() for future in futures]
                submit()
                yield chosen, found
        finally:
            for _, futures in waiting:
                for future in futures:
                    future.cancel()


def _one(
    picture: Picture, preprocess: Preprocess, vary: Vary | None, seed: Sequence[int], alter: Alter | None
) -> Pixels | ImageError:
    image = try_image(picture, preprocess)
    if isinstance(image, ImageError):
        return image
    try:
        mark = zlib.crc32(f"{picture.content}{picture.index}{picture.crop}".encode())
        random = generator(*seed, mark)
        if vary is not None:
            image = vary(image, random)
        pixels = preprocess.fit(image)
        return pixels if alter is None else alter(pixels, random)
    except ImageError as error:
        return error


def _together(numbers: Sequence[int], found: Sequence[Pixels | ImageError]) -> Seen:
    bad = {int(n): one.what for n, one in zip(numbers, found, strict=True) if isinstance(one, ImageError)}
    kept = [(int(n), one) for n, one in zip(numbers, found, strict=True) if not isinstance(one, ImageError)]
    pixels = np.stack([one for _, one in kept]) if kept else np.zeros((0, 0, 0, 0), np.uint8)
    return Seen(pixels, tuple(n for n, _ in kept), bad)

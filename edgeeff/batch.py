"""How many images an artifact takes in one run, and how any number of images is brought through it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edgeeff.errors import OptionError

#: The most images of one run: beyond that no runtime gains, and sizes of tensors no longer fit 32 bits.
LARGEST = 1024
#: Of ``dynamic`` where nobody says another number.
MOST = 8
DYNAMIC = "dynamic"
#: What a runtime may take: single images alone, runs of a fixed number, runs of 1 to a number.
BatchKind = Literal["one", "fixed", "dynamic"]

_DYNAMIC = re.compile(rf"{DYNAMIC}(?::(\d+))?", re.ASCII)


@dataclass(frozen=True)
class Batch:
    """The number of images in one run.

    Args:
        size: Images in a run: exactly, or at most where it is dynamic.
        dynamic: Whether a run takes any number from 1 to ``size``.
    """

    size: int = 1
    dynamic: bool = False

    @classmethod
    def read(cls, value: int | str | Batch) -> Batch:
        """A batch as the option and the manifest have it: ``4``, ``"4"``, ``"dynamic"``, ``"dynamic:16"``.

        ``"dynamic:1"`` is 1: an artifact cannot say that it takes 1 to 1 images.

        Raises:
            OptionError: It is none, or more than :data:`LARGEST`.
        """
        if isinstance(value, Batch):
            return value
        text = "" if isinstance(value, bool) else str(value).strip()
        dynamic = _DYNAMIC.fullmatch(text)
        digits = (dynamic.group(1) or str(MOST)) if dynamic else text
        # Ten digits say enough of a number that is too large, and int() of thousands is refused by Python.
        if not re.fullmatch(r"[+-]?\d{1,9}", digits, re.ASCII) or not 1 <= int(digits) <= LARGEST:
            raise OptionError(
                f"--batch {value!r:.40}: no number of images from 1 to {LARGEST}",
                mend=f"give the images of one run, such as 4; or {DYNAMIC}, which takes 1 to {MOST} of them; "
                f"or {DYNAMIC}:16, which takes 1 to 16",
            )
        return cls(int(digits), dynamic is not None and int(digits) > 1)

    @property
    def kind(self) -> BatchKind:
        """Which facts of a runtime hold for it."""
        return "dynamic" if self.dynamic else "one" if self.size == 1 else "fixed"

    @property
    def example(self) -> int:
        """A number of images that a run takes, for an example of one."""
        return min(self.size, 2) if self.dynamic else self.size

    def to_json(self) -> int | str:
        """As :meth:`read` takes it."""
        return f"{DYNAMIC}:{self.size}" if self.dynamic else self.size

    def __str__(self) -> str:
        """For a person: ``4``, ``1…8``."""
        return f"1…{self.size}" if self.dynamic else str(self.size)


ONE = Batch()


def in_runs(
    pixels: npt.NDArray[Any],
    batch: Batch,
    run: Callable[[npt.NDArray[Any]], Mapping[str, npt.NDArray[Any]]],
) -> dict[str, npt.NDArray[Any]]:
    """Bring any number of images through runs of a batch; memory is bounded by the batch and the outputs.

    The last run of a fixed batch is filled up with its last image, and what comes of that is dropped.

    Args:
        pixels: Images [N, …], at least one.
        batch: The images of a run.
        run: One run: images [n, …] to each output by its name [n, …]; n is ``batch.size``, or less where the
            batch is dynamic. It may give views that its next call overwrites.

    Returns:
        Each output of all images, [N, …], in their order.

    Raises:
        ValueError: There is no image, or an output does not hold one result for each image of its run.
    """
    if not len(pixels):
        raise ValueError("no image to run")
    if len(pixels) == batch.size:  # a frame: nothing to fill up, and no more than a copy of what came
        return {name: _checked(name, values, batch.size).copy() for name, values in run(pixels).items()}
    found: dict[str, npt.NDArray[Any]] = {}
    for start in range(0, len(pixels), batch.size):
        images = pixels[start : start + batch.size]
        count = len(images)
        for name, values in run(images if batch.dynamic else filled(images, batch.size)).items():
            expected = count if batch.dynamic else batch.size
            _checked(name, values, expected)
            if name not in found:
                found[name] = np.empty((len(pixels), *values.shape[1:]), values.dtype)
            found[name][start : start + count] = values[:count]
    return found


def _checked(name: str, values: npt.NDArray[Any], expected: int) -> npt.NDArray[Any]:
    if values.ndim == 0 or len(values) != expected:
        raise ValueError(f"output {name} is {list(values.shape)} of a run of {expected} images")
    return values


def regrouped(parts: Iterable[npt.NDArray[Any]], size: int) -> Iterator[npt.NDArray[Any]]:
    """The same images in parts of at least ``size``, all but the last of a multiple of it.

    So no run is filled up but the last one, however few images come at a time.
    """
    waiting: list[npt.NDArray[Any]] = []
    for part in parts:
        waiting.append(part)
        count = sum(map(len, waiting))
        if whole := count - count % size:
            together = np.concatenate(waiting) if len(waiting) > 1 else part
            yield together[:whole]
            waiting = [together[whole:]] if whole < count else []
    if waiting:
        yield np.concatenate(waiting)


def filled(images: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """So many images [size, …]: those given, [n, …], and behind them the last one again."""
    missing = size - len(images)
    return images if missing <= 0 else np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])


def of_shape(dimensions: Sequence[int], most: int = MOST) -> Batch:
    """The batch that an artifact's own input says by its first dimension: under 1, it is dynamic."""
    first = int(dimensions[0])
    return Batch(first) if first > 0 else Batch(most, True)

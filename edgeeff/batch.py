"""How many images an artifact takes in one run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from edgeeff.errors import OptionError

if TYPE_CHECKING:
    import numpy.typing as npt

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


def regrouped(parts: Iterable[npt.NDArray[Any]], size: int) -> Iterator[npt.NDArray[Any]]:
    """The same images in parts of at least ``size``, all but the last of a multiple of it.

    So no run is filled up but the last one, however few images come at a time.
    """
    import numpy as np  # late: every verb's options know of batches

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


def of_shape(dimensions: Sequence[int], most: int = MOST) -> Batch:
    """The batch that an artifact's own input says by its first dimension: under 1, it is dynamic."""
    first = int(dimensions[0])
    return Batch(first) if first > 0 else Batch(most, True)

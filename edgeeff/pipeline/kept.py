"""What a graph makes of many images, kept for a build: in memory, or in a temporary file where it is large.

A detector gives values for each anchor: 18 MB of one image for D0 with 90 classes, 74 MB for D4.
"""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import IO

import numpy as np

from edgeeff.files import writing
from edgeeff.tasks import Outputs, joined

#: Bytes that are kept in memory at most, where nobody needs them side by side.
IN_MEMORY = 64 << 20


class Kept:
    """Outputs of many images, in the order in which they came.

    Args:
        parts: Batches of them, [n, …] each.
        images: How many images all batches have.
        whole: Whether they must be in memory, however large they are.

    Raises:
        OutputError: The disk is full, or the folder of temporary files cannot be written.
    """

    def __init__(self, parts: Iterable[Outputs], images: int, *, whole: bool = False) -> None:
        parts = iter(parts)
        first = next(parts)
        every = chain([first], parts)
        self.images = images
        self._each = sum(values[:1].nbytes for values in first.values())
        self.large = not whole and self._each * images > IN_MEMORY
        if not self.large:
            self._whole = joined(every)
            return
        self._layout = [(name, values.dtype, values.shape[1:]) for name, values in first.items()]
        self._file = self._written(every)

    def rows(self, start: int, stop: int) -> Outputs:
        """The outputs of some images, [stop − start, …] each."""
        if not self.large:
            return {name: values[start:stop] for name, values in self._whole.items()}
        stop = min(stop, self.images)
        self._file.seek(start * self._each)
        count = stop - start
        table = np.frombuffer(self._file.read(count * self._each), np.uint8).reshape(count, self._each)
        found, at = {}, 0
        for name, dtype, shape in self._layout:
            size = dtype.itemsize * int(np.prod(shape))
            found[name] = np.ascontiguousarray(table[:, at : at + size]).view(dtype).reshape(count, *shape)
            at += size
        return found

    def pairs(self, parts: Iterable[Outputs]) -> Iterator[tuple[Outputs, Outputs]]:
        """These beside other outputs of the same images: image by image where they are large, else at once.

        Args:
            parts: Batches of the other outputs, in the same order; of any sizes. None of them is kept where
                they are large.

        Raises:
            ValueError: They are of another number of images.
        """
        if not self.large:
            yield self._whole, joined(parts)
            return
        number = 0
        for part in parts:
            for i in range(len(next(iter(part.values())))):
                yield (
                    self.rows(number, number + 1),
                    {name: values[i : i + 1] for name, values in part.items()},
                )
                number += 1
        if number != self.images:
            raise ValueError(f"outputs of {number} images beside those of {self.images}")

    def _written(self, parts: Iterable[Outputs]) -> IO[bytes]:
        """A file without a name, which goes with this object: image by image, all outputs of each."""
        with writing(Path(tempfile.gettempdir())):
            file = tempfile.TemporaryFile()  # noqa: SIM115  # closed with this object
            weakref.finalize(self, file.close)
            for part in parts:
                for row in zip(*part.values(), strict=True):
                    for values in row:
                        file.write(np.ascontiguousarray(values).tobytes())
            file.flush()
        return file

"""Frames of clips that were chosen, as one preprocessing shows them: kept in a temporary file.

A clip can be read from its beginning only, and a build reads its images several times in any order. So the
frames are fitted once, while the clip is read, and found here by clip and number.
"""

from __future__ import annotations

import math
import os
import weakref
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from threading import Lock

import numpy as np
from PIL import Image

from edgeeff import digests
from edgeeff.errors import ImageError
from edgeeff.files import writing
from edgeeff.preprocess import Pixels, Preprocess


class Frames:
    """Chosen frames, uint8 [H, W, C] each; memory does not grow with their number.

    Args:
        preprocess: How frames are fitted; mean and standard deviation do not matter.
    """

    def __init__(self, preprocess: Preprocess) -> None:
        self._fitting = _fitting(preprocess)
        self._shape = (*preprocess.size, preprocess.channels)
        self._file = TemporaryFile()  # noqa: SIM115 - it lives as long as the frames do
        weakref.finalize(self, self._file.close)
        self._places: dict[tuple[Path, int], tuple[int, str]] = {}
        self._lock = Lock()

    def add(self, clip: Path, number: int, image: Image.Image) -> None:
        """Fit a frame and keep it.

        Raises:
            ImageError: As :meth:`edgeeff.preprocess.Preprocess.fit`.
            OutputError: The disk is full.
        """
        content = self._fitting.fit(image).tobytes()
        with self._lock, writing(Path(gettempdir())):
            place = len(self._places)
            self._file.seek(place * len(content))
            self._file.write(content)
            self._file.flush()  # rows are read past Python's buffer
            self._places[clip, number] = place, digests.of_bytes(content)

    def row(self, clip: Path, number: int, preprocess: Preprocess) -> Pixels:
        """The pixels of a frame, uint8 [H, W, C], read-only.

        Raises:
            ImageError: The frame was not kept, or was fitted otherwise.
        """
        place, _ = self._found(clip, number)
        if _fitting(preprocess) != self._fitting:
            raise ImageError(
                f"frame {number} was chosen for an input of {self._fitting.size}, prepared otherwise",
                mend="pass the clip to a build of its own",
            )
        size = math.prod(self._shape)
        data = os.pread(self._file.fileno(), size, place * size)
        return np.frombuffer(data, np.uint8).reshape(self._shape)

    def digest(self, clip: Path, number: int) -> str:
        """SHA-256 of a frame's pixels: two clips that show the same are the same."""
        return self._found(clip, number)[1]

    def _found(self, clip: Path, number: int) -> tuple[int, str]:
        try:
            return self._places[clip, number]
        except KeyError:
            raise ImageError(
                f"frame {number} is not one of those that were chosen", mend="pass the clip to a build"
            ) from None


def _fitting(preprocess: Preprocess) -> Preprocess:
    """What of it decides how a frame is fitted: frames have 8 bits, whatever is white in deeper images."""
    return replace(preprocess.unnormalised(), white=None)

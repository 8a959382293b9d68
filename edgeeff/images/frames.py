"""Frames of clips that were chosen, as preprocessings show them: kept in temporary files.

A clip can be read from its beginning only, and a build reads its images several times in any order. So the
frames are fitted while the clip is read, once for each way in which they are wanted, and found here by clip
and number.
"""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
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

#: Reads a clip: the frames of these numbers, in order; the last argument says whether they are turned.
Reader = Callable[[Path, Sequence[int], bool], Iterator[tuple[int, Image.Image]]]


class Frames:
    """Chosen frames, uint8 [H, W, C] each; memory does not grow with their number.

    Args:
        numbers: Of the frames, ascending, by their clips.
        read: Reads them.
    """

    def __init__(self, numbers: Mapping[Path, Sequence[int]], read: Reader) -> None:
        self._numbers = dict(numbers)
        self._read = read
        self._kept: dict[Preprocess, _Kept] = {}
        self._digests: dict[tuple[Path, int], str] = {}
        self._lock = Lock()

    def fit(self, preprocess: Preprocess) -> None:
        """Read the clips and keep the frames as a preprocessing wants them, unless they are kept already.

        Raises:
            ImageError: A frame cannot be fitted.
            ChangedFileError: A clip does not hold them any more.
            OutputError: The disk is full.
        """
        with self._lock:
            fitting = _fitting(preprocess)
            if fitting in self._kept:
                return
            kept = _Kept((*fitting.taken, fitting.channels))
            for clip, numbers in self._numbers.items():
                for number, image in self._read(clip, numbers, fitting.exif):
                    content = fitting.fit(image).tobytes()
                    kept.add((clip, number), content)
                    self._digests.setdefault((clip, number), digests.of_bytes(content))
            self._kept[fitting] = kept

    def row(self, clip: Path, number: int, preprocess: Preprocess) -> Pixels:
        """The pixels of a frame, uint8 [H, W, C], read-only.

        Raises:
            ImageError: It is not one of those that were chosen.
            ChangedFileError, OutputError: As for :meth:`fit`.
        """
        self._refuse_other(clip, number)
        self.fit(preprocess)
        return self._kept[_fitting(preprocess)].row((clip, number))

    def digest(self, clip: Path, number: int) -> str:
        """SHA-256 of a frame's pixels as they were fitted first, so that equal frames are equal."""
        self._refuse_other(clip, number)
        return self._digests[clip, number]

    def _refuse_other(self, clip: Path, number: int) -> None:
        if number not in self._numbers.get(clip, ()):
            raise ImageError(
                f"frame {number} is not one of those that were chosen", mend="pass the clip to a build"
            )


class _Kept:
    """The frames as one preprocessing shows them."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self._shape = shape
        self._file = TemporaryFile()  # noqa: SIM115 - it lives as long as the frames do
        weakref.finalize(self, self._file.close)
        self._places: dict[tuple[Path, int], int] = {}

    def add(self, frame: tuple[Path, int], content: bytes) -> None:
        with writing(Path(gettempdir())):
            self._places[frame] = len(self._places)
            self._file.write(content)
            self._file.flush()  # rows are read past Python's buffer

    def row(self, frame: tuple[Path, int]) -> Pixels:
        size = math.prod(self._shape)
        # pread leaves no position behind, so that threads may read at once.
        data = os.pread(self._file.fileno(), size, self._places[frame] * size)
        return np.frombuffer(data, np.uint8).reshape(self._shape)


def _fitting(preprocess: Preprocess) -> Preprocess:
    """What of it decides how a frame is fitted.

    Frames have 8 bits, whatever is white in deeper images; mean and standard deviation come later, and so do
    the colours that an artifact takes.
    """
    camera = preprocess.camera
    if camera is not None:
        camera = type(camera)(frame=camera.frame) if camera.frame is not None else None
    return replace(preprocess.unnormalised(), white=None, camera=camera)

"""Images of an .npz: ``images`` uint8 [N, H, W, C] and, if it is labelled, ``labels`` [N] or [N, labels].

C is 3 (R, G, B), 1 (grey) or 4; [N, H, W] is grey as well, but for shapes that one colour image has.
"""

from __future__ import annotations

import lzma
import math
import os
import weakref
import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from edgeeff import regular, unpacking
from edgeeff.errors import MissingFileError
from edgeeff.images.picture import UNLABELLED, Picture
from edgeeff.preprocess import MODES
from edgeeff.watched import Stamp, refusal, stamp

# What damaged archives raise: zlib.error and lzma's are no OSErrors, and unknown methods are none of either.
_DAMAGED = (
    OSError, ValueError, KeyError, EOFError, NotImplementedError, RuntimeError,
    zipfile.BadZipFile, zlib.error, lzma.LZMAError,
)  # fmt: skip


def read(path: Path) -> list[Picture]:
    """The rows of an .npz.

    Raises:
        MissingFileError: It does not hold images.
        ChangedFileError: It changed while it was read.
    """
    seen = stamp(path)
    try:
        if regular.exists(path) and not regular.is_file(path):  # a pipe would be waited for
            raise OSError("it is no regular file")
        rows = len(_rows(path, seen))
        labels = _labels(path, rows)
        if labels.ndim == 2 and labels.dtype.kind in "biu" and np.isin(labels, (-1, 0, 1)).all():
            return _with_rows(path, labels, rows, seen)
        if labels.ndim != 1 or labels.dtype.kind not in "iuf":
            raise ValueError(
                f"labels are {labels.dtype} {list(labels.shape)}, not int [N], nor 1, 0 and -1 [N, labels]"
            )
        if labels.size and (
            not np.isfinite(labels).all() or not (np.mod(labels, 1) == 0).all() or labels.min() < UNLABELLED
        ):
            raise ValueError("labels are not all a class's number from 0, or -1 for an unknown one")
    except _DAMAGED as error:
        if stamp(path) != seen:
            raise refusal([path]) from None
        raise MissingFileError(
            f"{path} does not hold images: {error}",
            mend=_advice(str(error)),
        ) from None
    if stamp(path) != seen:  # images of one file, labels of another
        raise refusal([path])
    if len(labels) != rows:
        raise MissingFileError(
            f"{path} holds {rows} images and {len(labels)} labels", mend="save one for each"
        )
    return [Picture(path, index=i, label=int(label)) for i, label in enumerate(labels)]


def _with_rows(path: Path, labels: npt.NDArray[Any], count: int, seen: Stamp) -> list[Picture]:
    """Images with a row of labels each: 1, 0, or −1 where it is not known.

    Raises:
        ChangedFileError: The file changed while it was read.
        MissingFileError: There is not one row for each image.
    """
    if stamp(path) != seen:
        raise refusal([path])
    if len(labels) != count:
        raise MissingFileError(
            f"{path} holds {count} images and {len(labels)} rows of labels", mend="save one for each"
        )
    return [Picture(path, index=i, row=tuple(map(int, row))) for i, row in enumerate(labels)]


def _labels(path: Path, rows: int) -> npt.NDArray[Any]:
    """The ``labels`` of an .npz, of any shape; where there are none, those of unknown images."""
    with zipfile.ZipFile(path) as archive:
        if "labels.npy" not in archive.namelist():
            return np.full(rows, UNLABELLED)
        member = archive.getinfo("labels.npy")
        with archive.open(member) as file:
            return unpacking.npy_body(file, member.file_size, member.compress_size)


def row(picture: Picture) -> npt.NDArray[np.uint8]:
    """The pixels of one row, uint8 [H, W, C]."""
    assert picture.index is not None
    return _rows(picture.path, stamp(picture.path))[picture.index]


def _advice(reason: str) -> str:
    """How to save the images, and how to bring other types to 8 bits."""
    if "may be one image" in reason:
        return "save images[None] of one image, images[..., None] of grey ones: uint8 [N, H, W, C]"
    save = "save it as numpy.savez(path, images=uint8 [N, H, W, 3], labels=int [N])"
    if "images are float" in reason:
        return f"{save}; floats of 0…1 become 8 bits by (images * 255).round().astype('uint8')"
    if "images are uint16" in reason:
        return f"{save}; values of 0…65535 become 8 bits by (images >> 8).astype('uint8'), of 0…4095 by >> 4"
    if "images are int" in reason or "images are uint32" in reason:
        return f"{save}; whole numbers of 0…255 become 8 bits by images.astype('uint8')"
    if ", in Fortran's order" in reason:
        return f"{save}, with numpy.ascontiguousarray(images)"
    return save


@dataclass(frozen=True)
class _Rows:
    """The images of an .npz, read one at a time: memory does not grow with their number."""

    file: IO[bytes]
    offset: int
    shape: tuple[int, int, int, int]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int) -> npt.NDArray[np.uint8]:
        size = math.prod(self.shape[1:])
        # pread leaves no position behind, so that threads may read at once.
        data = os.pread(self.file.fileno(), size, self.offset + index * size)
        return np.frombuffer(data, np.uint8).reshape(self.shape[1:])


def _shape(file: IO[bytes], member: zipfile.ZipInfo) -> tuple[int, int, int, int]:
    """The shape of the images, by a header that claims just what follows it."""
    shape, dtype, fortran = unpacking.npy_header(file)
    if len(shape) == 3:
        if 3 in (shape[0], shape[2]) or shape[2] == 4:
            raise ValueError(f"images are {dtype} {list(shape)}, which may be one image in colour")
        shape = (*shape, 1)
    if dtype != np.uint8 or len(shape) != 4 or shape[3] not in MODES or fortran or not min(shape[1:]):
        order = ", in Fortran's order" if fortran else ""
        raise ValueError(f"images are {dtype} {list(shape)}{order}, not uint8 [N, H, W, 3]")
    size = math.prod(shape)
    if file.tell() + size != member.file_size:
        raise ValueError(f"their header claims {size} bytes, and {member.file_size - file.tell()} follow")
    if unpacking.absurd(size + unpacking.ENTRY * shape[0], member.compress_size):
        raise ValueError(f"they would unpack to {size} bytes from {member.compress_size}")
    return shape[0], shape[1], shape[2], shape[3]


@lru_cache(maxsize=4)
def _rows(path: Path, written: Stamp) -> _Rows:
    """The ``images`` of an .npz, unpacked to a temporary file that goes when nobody reads it any more."""
    del written  # part of the cache's key: a file written anew is read anew
    copy = TemporaryFile()  # noqa: SIM115 - it lives as long as the rows do
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
        if "images" not in names:
            raise ValueError(f"its arrays are {', '.join(names[:6]) or 'none'}, and none is called images")
        with zipfile.ZipFile(path) as archive, archive.open("images.npy") as member:
            shape = _shape(member, archive.getinfo("images.npy"))
            left = math.prod(shape)
            while block := member.read(min(left, 1 << 22)):
                copy.write(block)
                left -= len(block)
        if left:
            raise EOFError("it is cut off")
        copy.flush()  # rows are read past Python's buffer
        rows = _Rows(copy, 0, shape)
    except BaseException:
        copy.close()
        raise
    weakref.finalize(rows, copy.close)
    return rows
